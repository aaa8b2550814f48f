// The request that the running code works for: its id follows every callback, so every log line can carry it, and
// every query of the database.
import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";

const storage = new AsyncLocalStorage();
const WELL_FORMED = /^[A-Za-z0-9._-]{8,128}$/;

/** Runs `work` (and all that it starts) on behalf of the request `id`; returns what `work` returns. */
export const forRequest = (id, work) => storage.run({ id, database: { duration: 0, queries: 0 } }, work);

/** The fields that a log line gets from the current request: `{}` outside of one. */
export const requestFields = () => (storage.getStore() ? { "http.request.id": currentRequestId() } : {});

/** The current request's id, or undefined outside of a request. */
export const currentRequestId = () => storage.getStore()?.id;

/** What the current request's queries took, `{duration, queries}` (nanoseconds): it grows as they end. */
export const databaseTime = () => storage.getStore()?.database;

/** A comment for the current request's queries, so that what Postgres logs of them can be found by its id. */
export function queryMark() {
  const id = currentRequestId();
  return id && WELL_FORMED.test(id) ? `/* request ${id} */ ` : "";
}

/** The id a request came with (nginx sets `X-Request-Id`) when it is well-formed, else a new one. */
export function requestIdOf(request) {
  const given = request.headers["x-request-id"];
  return typeof given === "string" && WELL_FORMED.test(given) ? given : randomUUID();
}
