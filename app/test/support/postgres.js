// A real Postgres for the tests: a cluster of its own in a temporary directory, from Debian's package `postgresql`.
import { execFileSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import pg from "pg";

const VERSIONS = "/usr/lib/postgresql";

function programs() {
  try {
    const newest = readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a))[0];
    return join(VERSIONS, newest, "bin");
  } catch (cause) {
    throw new Error(
      `These tests need a Postgres server: apt-get install postgresql (nothing in ${VERSIONS})`,
      { cause },
    );
  }
}

/** Postgres refuses to run as root: then it runs as the user that Debian's package made for it. */
function unprivileged() {
  if (process.getuid() !== 0) return {};
  const id = (flag) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

/**
 * Starts a cluster that listens on a unix socket only and wants a password (SCRAM).
 *
 * @returns {Promise<{env: object, newDatabase: (name: string) => Promise<object>, stop: Function, start: Function,
 *   log: () => string, remove: Function}>} `newDatabase` returns the DATABASE_* keys for the app; `log` every statement
 */
export async function startPostgres() {
  const bin = programs();
  const user = unprivileged();
  const directory = mkdtempSync(join(tmpdir(), "chat-pg-"));
  if (user.uid) chownSync(directory, user.uid, user.gid);
  const data = join(directory, "data");
  const passwordFile = join(directory, "password");
  const port = String(randomInt(20_000, 60_000)); // names the socket file only
  writeFileSync(passwordFile, "correct horse\n", { mode: 0o644 });
  const run = (program, ...args) =>
    execFileSync(join(bin, program), args, {
      ...user,
      cwd: directory,
      stdio: ["ignore", "ignore", "inherit"],
    });

  run(
    "initdb",
    "-D",
    data,
    "-U",
    "chat",
    "-A",
    "scram-sha-256",
    `--pwfile=${passwordFile}`,
    "-N",
    "-E",
    "UTF8",
  );
  const options = `-c listen_addresses= -c unix_socket_directories=${directory} -c port=${port} -c fsync=off -c log_min_duration_statement=0`;
  const start = () => run("pg_ctl", "-D", data, "-l", join(directory, "log"), "-o", options, "-w", "start");
  const stop = () => run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop");
  start();

  const env = {
    DATABASE_HOST: directory,
    DATABASE_PORT: port,
    DATABASE_USER: "chat",
    DATABASE_PASSWORD_FILE: passwordFile,
  };
  const query = async (database, text) => {
    const client = new pg.Client({
      host: directory,
      port: Number(port),
      user: "chat",
      password: "correct horse",
      database,
    });
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  };
  return {
    env,
    query,
    log: () => readFileSync(join(directory, "log"), "utf8"),
    start,
    stop,
    async newDatabase(name) {
      await query("postgres", `CREATE DATABASE ${name}`);
      return { ...env, DATABASE_NAME: name };
    },
    remove() {
      if (existsSync(join(data, "postmaster.pid"))) stop(); // a test that failed may have left it stopped
      rmSync(directory, { recursive: true });
    },
  };
}
