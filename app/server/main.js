// Starts the chat server: settings, log, database, then the port; and ends it cleanly.
import { createServer } from "node:http";

import { readConfig } from "./config.js";
import { forRequest, requestIdOf } from "./context.js";
import { connectionOptions, openPool, whenDatabaseAnswers } from "./database.js";
import { createDrain } from "./drain.js";
import { StartError } from "./errors.js";
import { openLog } from "./log.js";
import { createReaders } from "./readers.js";
import { createRelay } from "./relay.js";
import { createSchema } from "./schema.js";
import { createSockets } from "./sockets.js";
import { createStore } from "./store.js";
import { createReadiness } from "./readiness.js";
import { createWeb } from "./web.js";

async function start(config, logging) {
  const { log } = logging;
  const pool = openPool(config, log);
  const store = createStore(pool, { server: config.server, process: process.pid });
  const readers = createReaders({ log });
  const relay = createRelay({
    config,
    store,
    log,
    onMessage: readers.deliver,
    onRoom: readers.announceRoom,
    // A process that cannot hear must keep no readers: elsewhere they get what is new, and what they missed.
    onDeaf: () => readers.sendAway("no news from the database", 500),
  });
  const server = createServer({ keepAliveTimeout: 75_000, headersTimeout: 15_000, requestTimeout: 30_000 });
  const drain = createDrain({ server, readers, config, log });
  const { notReady, deaf } = createReadiness({ pool, relay, drain });
  const web = createWeb({ config, store, log, notReady });
  const sockets = createSockets({ config, store, readers, log, refusal: deaf });

  server.on("request", (request, response) => {
    drain.watch(response);
    forRequest(requestIdOf(request), () => web(request, response));
  });
  server.on("upgrade", (request, socket, head) => {
    const id = requestIdOf(request);
    forRequest(id, () => sockets.upgrade(request, socket, head, id));
  });

  const { host, port } = connectionOptions(config);
  await whenDatabaseAnswers(
    async () => {
      await createSchema(pool);
      await relay.start();
    },
    { waitMs: config.database.waitMs, where: `${host}:${port}`, log },
  );
  await listen(server, config);
  log.info({ "server.port": server.address().port }, "ready");
  process.send?.("ready"); // PM2's wait_ready

  async function stop(signal) {
    if (drain.draining) return;
    log.info(`stopping on ${signal}`);
    await drain.run();
    sockets.close();
    await relay.close();
    await pool.end();
    log.info("stopped");
    await logging.flush();
    process.exit(0);
  }
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => stop(signal).catch((error) => fail(error, logging)));
  }
}

function listen(server, { host, port }) {
  return new Promise((resolve, reject) => {
    const refuse = (cause) => {
      const problem = `Cannot listen on ${host}:${port} (${cause.code})`;
      reject(new StartError(problem, "Free the port, or set HOST and PORT to others.", { cause }));
    };
    server.once("error", refuse);
    server.listen(port, host, () => {
      server.off("error", refuse);
      resolve();
    });
  });
}

/** Tells why the process cannot go on, in the log and on stderr, and ends it. */
function fail(error, logging) {
  logging?.log.fatal({ error }, "the server ends");
  logging?.flushNow();
  const told = error instanceof StartError;
  process.stderr.write(told ? `${error.message}\n${error.remedy}\n` : `${error.stack}\n`);
  process.exit(1);
}

let logging;
try {
  const config = readConfig(process.env);
  logging = openLog(config);
  process.on("uncaughtException", (error) => fail(error, logging));
  process.on("SIGUSR2", () => logging.reopen());
  await start(config, logging);
} catch (error) {
  fail(error, logging);
}
