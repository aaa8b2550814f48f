// The websocket side of the chat: /ws?room=<slug>&since=<id of the last message the reader has>.
//
// To the browser: {type: "hello", server, process, release, requestId}, {type: "missed", messages} or
// {type: "reset"} (more was missed than is replayed: load the history), then {type: "message", message},
// {type: "activity", room, lastId}, {type: "room", room}, {type: "ack", clientId, message},
// {type: "error", clientId, code, message, retry}, {type: "pong"}.
// From the browser: {type: "send", clientId, room, author, key, text}, {type: "ping"}.
import { STATUS_CODES } from "node:http";

import { WebSocketServer } from "ws";

import { forRequest } from "./context.js";
import { Refusal } from "./errors.js";
import { LIMITS } from "./limits.js";
import { authorId, authorName, clientId, messageText, number } from "./validate.js";

const PING_EVERY_MS = 25_000; // below the load balancer's idle timeout (60 s by default)

/** A page of another site may not open our socket in a visitor's name. Programs send no Origin: let them. */
function sameOrigin({ headers: { origin, host } }) {
  if (origin === undefined) return true;
  if (!URL.canParse(origin) || !URL.canParse(`http://${host}`)) return false;
  return new URL(origin).hostname === new URL(`http://${host}`).hostname;
}

/** A token bucket: `take()` says whether one more message is allowed now. */
function allowance() {
  let tokens = LIMITS.burst;
  let at = performance.now();
  return () => {
    const now = performance.now();
    tokens = Math.min(LIMITS.burst, tokens + ((now - at) / 1000) * LIMITS.perSecond);
    at = now;
    return tokens >= 1 && tokens-- >= 1;
  };
}

/**
 * @param {object} parts
 * @param parts.readers from `createReaders`
 * @param {() => string | null} parts.refusal why no new socket is taken just now, or null
 * @returns {{upgrade: Function, close: () => void}} `upgrade(request, socket, head, requestId)` for the HTTP server
 */
export function createSockets({ config, store, readers, log, refusal }) {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: LIMITS.payloadBytes,
  });
  server.on("headers", (headers, request) => headers.push(`X-Request-Id: ${request.id}`));

  function refuse(socket, status, reason, requestId) {
    log.info({ "http.response.status_code": status }, `websocket refused: ${reason}`);
    const body = JSON.stringify({ error: { code: "refused", message: reason, requestId } });
    socket.on("error", (error) => log.debug({ error }, "the refused client is gone"));
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nX-Request-Id: ${requestId}\r\n\r\n${body}`,
    );
  }

  async function take(socket, frame) {
    if (!socket.mayTake()) {
      readers.send(socket, {
        type: "error",
        clientId: frame.clientId,
        code: "too-fast",
        message: "Too fast.",
        retry: true,
      });
      return;
    }
    try {
      const { added, message } = await store.add({
        room: typeof frame.room === "string" ? frame.room : "",
        clientId: clientId(frame.clientId),
        author: authorName(frame.author),
        authorId: authorId(frame.key),
        text: messageText(frame.text),
      });
      log.info(
        { "chat.message.id": message.id, "chat.room": message.room },
        added ? "message stored" : "message known",
      );
      readers.send(socket, { type: "ack", clientId: message.clientId, message });
    } catch (error) {
      const known = error instanceof Refusal;
      log[known ? "info" : "error"]({ error }, "message not stored");
      readers.send(socket, {
        type: "error",
        clientId: frame.clientId,
        code: known ? error.code : "unavailable",
        message: known ? error.message : "The message could not be stored just now.",
        retry: !known,
      });
    }
  }

  function heard(socket, data, binary) {
    let frame = null;
    try {
      frame = binary ? null : JSON.parse(data);
    } catch (error) {
      log.info({ error }, "a frame is not JSON");
    }
    if (frame?.type === "ping") readers.send(socket, { type: "pong" });
    // One after the other, so that a person's messages keep their order.
    else if (frame?.type === "send") socket.work = socket.work.then(() => take(socket, frame));
    else socket.close(1003, "a frame must be JSON text with a known type");
  }

  async function welcome(socket, slug, since, requestId) {
    await store.room(slug);
    readers.join(socket, slug); // first join, then look what was missed: nothing falls in between
    readers.send(socket, {
      type: "hello",
      server: config.server,
      process: process.pid,
      release: config.release,
      requestId,
    });
    if (since === null) return;
    const messages = await store.missed(slug, since);
    readers.send(socket, messages === null ? { type: "reset" } : { type: "missed", messages });
  }

  function opened(socket, searchParams, requestId) {
    const bound =
      (work) =>
      (...args) =>
        forRequest(requestId, () => work(...args));
    socket.mayTake = allowance();
    socket.work = Promise.resolve();
    socket.alive = true;
    socket.on("pong", () => (socket.alive = true));
    socket.on(
      "message",
      bound((data, binary) => heard(socket, data, binary)),
    );
    socket.on(
      "error",
      bound((error) => log.info({ error }, "websocket error")),
    );
    socket.on(
      "close",
      bound((code) => {
        readers.leave(socket);
        log.info({ "chat.close_code": code }, "websocket closed");
      }),
    );
    log.info({ "url.path": "/ws", "chat.room": searchParams.get("room") }, "websocket opened");
    const start = async () =>
      welcome(
        socket,
        searchParams.get("room") ?? "",
        number(searchParams.get("since"), "since", { fallback: null }),
        requestId,
      );
    start().catch((error) => {
      const known = error instanceof Refusal;
      if (!known) log.error({ error }, "websocket could not be served");
      socket.close(known ? 4000 + error.status : 1011, known ? error.code : "unavailable");
    });
  }

  const pinging = setInterval(() => {
    for (const socket of readers) {
      if (!socket.alive) socket.terminate();
      socket.alive = false;
      socket.ping();
    }
  }, PING_EVERY_MS);

  return {
    upgrade(request, socket, head, requestId) {
      const url = URL.parse(request.url, "http://localhost"); // null for an address that is none
      const reason = refusal();
      if (url?.pathname !== "/ws") return refuse(socket, 404, "there is no websocket here", requestId);
      if (!sameOrigin(request)) return refuse(socket, 403, "the page's origin is not this site", requestId);
      if (reason !== null) return refuse(socket, 503, reason, requestId);
      request.id = requestId;
      server.handleUpgrade(request, socket, head, (ws) => opened(ws, url.searchParams, requestId));
    },
    close: () => clearInterval(pinging),
  };
}
