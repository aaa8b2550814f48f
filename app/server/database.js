// The connections to Postgres: a small pool, and the wait for a database that is still booting.
import { setTimeout as sleep } from "node:timers/promises";

import pg from "pg";

import { StartError } from "./errors.js";

// Ids are bigint in the database and stay far below 2^53 here.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

const RETRY_MS = 400;

/** How `pg` reaches the database; connections of the pool and the listener are made from the same options. */
export const connectionOptions = (config) => ({
  host: config.database.host,
  port: config.database.port,
  database: config.database.name,
  user: config.database.user,
  password: config.database.password,
  application_name: `chat ${config.release}`,
  connectionTimeoutMillis: 1500,
  query_timeout: 5000,
  statement_timeout: 5000,
  keepAlive: true,
});

/** The pool of connections for queries. Errors of idle connections are logged; the pool replaces the connection. */
export function openPool(config, log) {
  const pool = new pg.Pool({
    ...connectionOptions(config),
    max: config.database.poolSize,
    idleTimeoutMillis: 10_000,
  });
  pool.on("error", (error) => log.warn({ error }, "an idle database connection was lost"));
  return pool;
}

/**
 * Runs `work` until it succeeds, for a database that boots at the same time as this server.
 *
 * @param {() => Promise<T>} work what needs the database
 * @param {{waitMs: number, where: string}} options how long to try, and the database's name for the error
 * @returns {Promise<T>} what `work` returned
 * @throws {StartError} after `waitMs`, with the last failure as its cause
 * @template T
 */
export async function whenDatabaseAnswers(work, { waitMs, where, log }) {
  const deadline = Date.now() + waitMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() + RETRY_MS > deadline) {
        throw new StartError(
          `The database at ${where} did not answer well within ${waitMs} ms: ${error.message || error.code}`,
          "Check that it runs, that DATABASE_* name it rightly, and that this host may reach it.",
          { cause: error },
        );
      }
      log.info({ error }, "the database is not ready yet, trying again");
      await sleep(RETRY_MS);
    }
  }
}
