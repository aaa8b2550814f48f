// The REST side: rooms, history, health. Every answer carries the request's id and says which process gave it.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import express from "express";

import { currentRequestId, databaseTime } from "./context.js";
import { Refusal } from "./errors.js";
import { LIMITS } from "./limits.js";
import { number, roomName } from "./validate.js";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const CONTENT_SECURITY_POLICY =
  "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/** Logs each answer once it is out; answers to health checks only when they are bad, else at level debug. */
function logAnswers(log) {
  return (request, response, next) => {
    const start = process.hrtime.bigint();
    const path = request.path;
    const method = request.method;
    const isCheck = path === "/healthz" || path === "/readyz";
    const requestId = currentRequestId();
    const database = databaseTime();
    response.on("close", () => {
      const status = response.statusCode;
      const level = isCheck && status < 400 ? "debug" : "info";
      log[level](
        {
          "http.request.id": requestId,
          "http.request.method": method,
          "http.response.status_code": status,
          "url.path": path,
          "client.ip": request.ip,
          "event.duration": Number(process.hrtime.bigint() - start), // nanoseconds, as ECS has it
          ...(database.queries && {
            "database.duration": database.duration,
            "database.queries": database.queries,
          }),
        },
        response.writableFinished ? "request answered" : "request broken off by the client",
      );
    });
    next();
  };
}

/** Answers every error as JSON; what the caller is not to know stays in the log. */
function answerErrors(log) {
  // Express knows an error handler by its four parameters.
  return (error, request, response, next) => {
    if (response.headersSent) return next(error);
    const told = error.status >= 400 && error.status < 500; // ours, and those of Express and its body parser
    const status = told ? error.status : 500;
    if (!told) log.error({ error }, "request failed");
    response.status(status).json({
      error: {
        code: told ? (error instanceof Refusal ? error.code : (error.type ?? "invalid")) : "internal",
        message: told ? error.message : "Something went wrong on our side. The request id helps to find it.",
        requestId: currentRequestId(),
      },
    });
  };
}

/**
 * The Express application.
 *
 * @param {object} parts
 * @param {() => Promise<string | null>} parts.notReady why this process should get no requests now, or null
 */
export function createWeb({ config, store, log, notReady }) {
  const web = express();
  web.disable("x-powered-by");
  web.set("trust proxy", "loopback"); // nginx, on the same host
  web.set("etag", false);
  web.use(logAnswers(log));
  web.use((request, response, next) => {
    response.set({
      "X-Request-Id": currentRequestId(),
      "X-Served-By": `${config.server}/${process.pid}`,
      "X-Release": config.release,
      "X-Content-Type-Options": "nosniff",
      "Cache-Control": "no-store",
    });
    next();
  });

  web.get("/healthz", (request, response) => response.json({ status: "ok" }));
  web.get("/readyz", async (request, response) => {
    const reason = await notReady();
    const about = { release: config.release, server: config.server, process: process.pid };
    if (reason === null) response.json({ status: "ok", ...about });
    else response.status(503).json({ status: "unavailable", reason, ...about });
  });

  web.use("/api", express.json({ limit: LIMITS.payloadBytes, strict: true }));
  web.get("/api/rooms", async (request, response) => response.json({ rooms: await store.rooms() }));
  web.post("/api/rooms", async (request, response) => {
    const { created, room } = await store.createRoom(roomName(request.body?.name));
    response.status(created ? 201 : 200).json({ room });
  });
  web.get("/api/rooms/:slug/messages", async (request, response) => {
    const before = number(request.query.before, "before", { fallback: null, min: 1 });
    const limit = number(request.query.limit, "limit", {
      fallback: LIMITS.pageSize,
      min: 1,
      max: LIMITS.pageSizeMax,
    });
    response.json(await store.history(request.params.slug, { before, limit }));
  });

  // On the servers nginx serves the built pages; without it (on a developer's machine) this does.
  if (existsSync(DIST)) {
    web.use(
      express.static(DIST, {
        setHeaders(response, path) {
          const hashed = path.startsWith(`${DIST}/assets/`);
          response.setHeader("Cache-Control", hashed ? "public, max-age=31536000, immutable" : "no-cache");
          response.setHeader("Content-Security-Policy", CONTENT_SECURITY_POLICY);
        },
      }),
    );
  }
  web.use((request) => {
    throw new Refusal(404, "not-found", `There is nothing at ${request.path}.`);
  });
  web.use(answerErrors(log));
  return web;
}
