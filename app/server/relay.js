// Hears from Postgres what any process of any server stored (LISTEN), and hands it on to this process's readers.
import pg from "pg";

import { forRequest } from "./context.js";
import { connectionOptions } from "./database.js";
import { CHANNEL } from "./store.js";

const CHECK_EVERY_MS = 10_000;
const RETRY_MS = [200, 2000]; // a random wait between, so that not all processes come back at once

const between = ([low, high]) => low + Math.random() * (high - low);

/**
 * Listens for announcements, and keeps doing so when the connection breaks. While it is deaf it loses announcements
 * for good; `onDeaf` is then called, and readers must come back and ask for what they missed.
 *
 * @param {object} parts
 * @param {(message: object) => void} parts.onMessage a stored message, with its room's slug
 * @param {(room: object) => void} parts.onRoom a new room
 * @param {() => void} parts.onDeaf the connection broke
 */
export function createRelay({ config, store, log, onMessage, onRoom, onDeaf }) {
  let client = null;
  let retry = null;
  let closed = false;
  let waiting = []; // announcements of messages not yet read from the table

  async function readMessages() {
    const announced = waiting;
    waiting = [];
    const requests = new Map(announced.map(({ message, request }) => [message, request]));
    for (const message of await store.messages([...requests.keys()])) {
      // Each is delivered under the id of the request that sent it, whichever server that reached.
      forRequest(requests.get(message.id), () => onMessage(message));
    }
  }

  function heard({ payload }) {
    const announcement = JSON.parse(payload);
    const lost = (error) => {
      log.error({ error }, "an announced row could not be read: readers must come back for it");
      onDeaf();
    };
    if (announcement.message) {
      waiting.push(announcement);
      // What arrives together is read together.
      if (waiting.length === 1) setImmediate(() => readMessages().catch(lost));
    } else if (announcement.room) {
      forRequest(announcement.request, () => store.room(announcement.room).then(onRoom).catch(lost));
    }
  }

  function lose(broken, error) {
    if (broken !== client) return;
    client = null;
    broken.end().catch((reason) => log.debug({ error: reason }, "the broken listener did not close cleanly"));
    if (closed) return;
    log.warn({ error }, "no longer listening to the database");
    onDeaf();
    retry = setTimeout(reconnect, between(RETRY_MS));
  }

  async function connect() {
    const fresh = new pg.Client(connectionOptions(config));
    fresh.on("error", (error) => lose(fresh, error));
    fresh.on("end", () => lose(fresh));
    fresh.on("notification", heard);
    try {
      await fresh.connect();
      await fresh.query(`LISTEN ${CHANNEL}`);
    } catch (error) {
      fresh
        .end()
        .catch((reason) => log.debug({ error: reason }, "the failed listener did not close cleanly"));
      throw error;
    }
    if (closed) return fresh.end();
    client = fresh;
    log.info("listening to the database");
  }

  const reconnect = () =>
    connect().catch((error) => {
      log.warn({ error }, "cannot listen to the database yet");
      if (!closed) retry = setTimeout(reconnect, between(RETRY_MS));
    });

  // A host that vanished sends no goodbye: ask now and then whether the connection still lives.
  const check = setInterval(() => {
    const asked = client;
    asked?.query("SELECT 1").catch((error) => lose(asked, error));
  }, CHECK_EVERY_MS);

  return {
    /** Connects for the first time; throws when that fails. */
    start: connect,
    /** Does this process hear announcements now? */
    get listening() {
      return client !== null;
    },
    async close() {
      closed = true;
      clearInterval(check);
      clearTimeout(retry);
      await client?.end();
    },
  };
}
