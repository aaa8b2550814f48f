// What comes from outside is checked here: each function returns the clean value or throws a Refusal.
import { createHash } from "node:crypto";

import { Refusal } from "./errors.js";
import { LIMITS } from "./limits.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
// Postgres text holds no NUL; other control characters but tab and newline have no place in a message either.
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/g;

function words(value, what, max) {
  if (typeof value !== "string") throw new Refusal(400, "invalid", `${what} must be text.`);
  const clean = value.toWellFormed().replace(/\r\n?/g, "\n").replace(CONTROL, "").trim();
  if (clean === "") throw new Refusal(400, "invalid", `${what} is empty.`);
  if (clean.length > max) throw new Refusal(400, "invalid", `${what} is longer than ${max} characters.`);
  return clean;
}

const oneLine = (value, what, max) => words(value, what, max).replace(/\s+/g, " ");

/** A message's text: trimmed, without control characters, 1 to 2000 characters. */
export const messageText = (value) => words(value, "The message", LIMITS.textLength);

/** A display name: one line of 1 to 32 characters. */
export const authorName = (value) => oneLine(value, "The name", LIMITS.authorLength);

/** A room's name and its slug (its name in addresses): letters and digits of any script, joined by hyphens. */
export function roomName(value) {
  const name = oneLine(value, "The room's name", LIMITS.roomNameLength);
  const slug = name
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}]+/gu, "-")
    .replace(/^-+|-+$/g, "");
  if (slug === "") throw new Refusal(400, "invalid", "The room's name needs a letter or a digit.");
  return { name, slug };
}

/** The id that a client gave its message, so that a message sent twice is stored once. */
export function clientId(value) {
  if (typeof value !== "string" || !UUID.test(value)) {
    throw new Refusal(400, "invalid", "The message's client id must be a UUID.");
  }
  return value.toLowerCase();
}

/**
 * Who wrote a message: the public half of the key that only the author's browser knows. Others see this id and
 * cannot write under it.
 */
export function authorId(key) {
  if (typeof key !== "string" || key.length < 16 || key.length > 64) {
    throw new Refusal(400, "invalid", "The author's key must have 16 to 64 characters.");
  }
  return createHash("sha256").update(key).digest("hex").slice(0, 16);
}

/** A whole number from a query string: `fallback` when absent, refused outside of min..max. */
export function number(value, what, { fallback, min = 0, max = Number.MAX_SAFE_INTEGER }) {
  if (value === undefined || value === null || value === "") return fallback;
  const parsed = typeof value === "string" && /^\d{1,16}$/.test(value) ? Number(value) : NaN;
  if (!(parsed >= min && parsed <= max)) {
    throw new Refusal(400, "invalid", `${what} must be a whole number from ${min} to ${max}.`);
  }
  return parsed;
}
