// Leaves without breaking a request: what happens between SIGTERM (or PM2's SIGINT) and the end of the process.
//
// nginx keeps idle connections to us open. Closing them at once, as http.Server.close() does, breaks the request that
// nginx is just sending on one. So: take no new connections, answer on the old ones with "Connection: close", and
// close the idle ones only after DRAIN_MS, which is longer than nginx keeps an unused connection.
import { Server as NetServer } from "node:net";

const SPREAD_MS = 1500; // readers come back one by one
const SOCKETS_GRACE_MS = 2000; // for readers that do not answer the closing handshake
const HARD_LIMIT_MS = 8000; // after DRAIN_MS; the process manager's own limit must be later
const SWEEP_MS = 50;
// The cluster may be handing us a connection just when we leave, and only a living process can give it back; one that
// is handed to the dead hangs until its client gives up (seen twice in some thousand connections).
const LINGER_MS = 500;

/** Marks the answers of a server that is leaving. `watch` is called for each request's response. */
export function createDrain({ server, readers, config, log }) {
  const open = new Set();
  let draining = false;

  const last = (response) => {
    if (!response.headersSent) response.setHeader("Connection", "close");
  };

  return {
    get draining() {
      return draining;
    },

    watch(response) {
      open.add(response);
      response.on("close", () => open.delete(response));
      if (draining) last(response);
    },

    /** Resolves once every request is answered and every connection is gone, or the time is up. */
    async run() {
      draining = true;
      log.info({ "chat.readers": readers.size, "chat.requests": open.size }, "draining");
      for (const response of open) last(response);
      // net.Server's close, not http.Server's: see above.
      const gone = new Promise((resolve) => NetServer.prototype.close.call(server, () => resolve(true)));
      readers.sendAway("the server restarts", Math.min(SPREAD_MS, config.drainMs));
      const timers = [
        setTimeout(() => {
          server.closeIdleConnections();
          timers.push(setInterval(() => server.closeIdleConnections(), SWEEP_MS));
        }, config.drainMs),
        setTimeout(() => {
          for (const socket of readers) socket.terminate();
        }, config.drainMs + SOCKETS_GRACE_MS),
      ];
      const late = new Promise((resolve) => {
        timers.push(setTimeout(() => resolve(false), config.drainMs + HARD_LIMIT_MS));
      });
      const lingered = new Promise((resolve) => setTimeout(resolve, Math.min(LINGER_MS, config.drainMs), true));
      const clean = await Promise.race([Promise.all([gone, lingered]), late]);
      for (const timer of timers) clearTimeout(timer);
      if (!clean) {
        log.warn({ "chat.requests": open.size }, "some requests did not end in time, cutting them off");
        server.closeAllConnections();
      }
    },
  };
}
