// Reads the server's settings from its environment, and says what is wrong with them before anything starts.
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";

import { StartError } from "./errors.js";

const SEE = "The keys are listed in the application's README.md.";

function integer(env, key, fallback, min, max) {
  const text = env[key] || String(fallback);
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new StartError(`${key} is "${text}"`, `Set it to a whole number from ${min} to ${max}. ${SEE}`);
  }
  return value;
}

function passwordSource(env) {
  const file = env.DATABASE_PASSWORD_FILE;
  if (!file) return async () => env.DATABASE_PASSWORD ?? "";
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    throw new StartError(
      `DATABASE_PASSWORD_FILE names ${file}, which cannot be read (${error.code})`,
      `Put the password there, readable by the user that runs this process. ${SEE}`,
    );
  }
  // Read anew for every connection, so that a changed password needs no restart.
  return async () => (await readFile(file, "utf8")).trim();
}

function logFile(env) {
  if (!env.LOG_FILE) return null;
  try {
    closeSync(openSync(env.LOG_FILE, "a"));
  } catch (error) {
    throw new StartError(
      `LOG_FILE names ${env.LOG_FILE}, which cannot be written (${error.code})`,
      `Create its directory for the user that runs this process, or leave the key out to log to stdout. ${SEE}`,
    );
  }
  return env.LOG_FILE;
}

/**
 * The settings of this process.
 *
 * @param {NodeJS.ProcessEnv} env the environment, with the keys of README.md
 * @returns frozen settings; durations in milliseconds; `database.password` is an async function, as `pg` takes it
 * @throws {StartError} naming the key that is wrong and how to mend it
 */
export function readConfig(env) {
  return Object.freeze({
    host: env.HOST || "127.0.0.1",
    port: integer(env, "PORT", 3000, 0, 65535),
    release: env.RELEASE || "development",
    environment: env.ENVIRONMENT || "local",
    drainMs: integer(env, "DRAIN_MS", 2500, 0, 60_000),
    logFile: logFile(env),
    logLevel: env.LOG_LEVEL || "info",
    server: hostname(),
    database: Object.freeze({
      host: env.DATABASE_HOST || "127.0.0.1",
      port: integer(env, "DATABASE_PORT", 5432, 1, 65535),
      name: env.DATABASE_NAME || "chat",
      user: env.DATABASE_USER || "chat",
      password: passwordSource(env),
      poolSize: integer(env, "DATABASE_POOL", 4, 1, 50),
      waitMs: integer(env, "DATABASE_WAIT_MS", 7000, 0, 600_000),
    }),
  });
}
