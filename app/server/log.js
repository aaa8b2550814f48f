// JSON log lines by the Elastic Common Schema (ECS), written to a file of our own or to stdout.
// Source of the field names: elastic.co/docs/reference/ecs (1.x). The file is our own because what a PM2 cluster
// worker writes to descriptor 1 goes past PM2's log files; it is reopened on SIGUSR2, as logrotate wants.
import pino from "pino";

import { requestFields } from "./context.js";
import { StartError } from "./errors.js";

const FLUSH_EVERY_MS = 1000;

const describeError = (error) => ({
  type: error.name,
  message: error.message,
  code: error.code,
  stack_trace: error.stack,
});

/**
 * Opens the log.
 *
 * @param config from `readConfig`
 * @returns {{log: pino.Logger, reopen: () => void, flush: () => Promise<void>, flushNow: () => void}}
 * @throws {StartError} when LOG_LEVEL is no level
 */
export function openLog(config) {
  if (!(config.logLevel in pino.levels.values) && config.logLevel !== "silent") {
    throw new StartError(
      `LOG_LEVEL is "${config.logLevel}"`,
      `Set it to one of ${Object.keys(pino.levels.values).join(", ")}, silent.`,
    );
  }
  const buffered = config.logFile !== null;
  const destination = pino.destination(
    buffered ? { dest: config.logFile, append: true, sync: false, minLength: 4096 } : { dest: 1, sync: true },
  );
  // A full disk must not take the chat down; stderr is what is left to complain on.
  destination.on("error", (error) =>
    process.stderr.write(`log: cannot write ${config.logFile}: ${error.message}\n`),
  );
  if (buffered) setInterval(() => destination.flush(), FLUSH_EVERY_MS).unref();

  const log = pino(
    {
      level: config.logLevel,
      messageKey: "message",
      errorKey: "error",
      timestamp: () => `,"@timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ "log.level": label }) },
      serializers: { error: describeError },
      mixin: requestFields,
      base: {
        "ecs.version": "1.12.0",
        "service.name": "chat",
        "service.version": config.release,
        "service.environment": config.environment,
        "host.hostname": config.server,
        "process.pid": process.pid,
      },
    },
    destination,
  );
  return {
    log,
    reopen: () => buffered && destination.flush(() => destination.reopen()),
    flush: () =>
      new Promise((resolve, reject) =>
        buffered ? destination.flush((error) => (error ? reject(error) : resolve())) : resolve(),
      ),
    flushNow: () => buffered && destination.flushSync(),
  };
}
