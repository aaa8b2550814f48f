// The REST side of the server. Every answer tells who gave it; an error has the server's own words.

/** What the server refused. `final`: there is no such thing, so asking again will not help. */
export class ApiError extends Error {
  constructor(status, { code = "unavailable", message = "The server cannot be reached just now." } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.final = status === 404;
  }
}

async function ask(path, options) {
  const response = await fetch(path, { ...options, signal: AbortSignal.timeout(10_000) });
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  if (!response.ok) throw new ApiError(response.status, isJson ? (await response.json()).error : undefined);
  const [server, process] = (response.headers.get("X-Served-By") ?? "").split("/");
  const servedBy = { server, process, release: response.headers.get("X-Release") };
  return { body: await response.json(), servedBy };
}

/** The questions; each resolves to `{body, servedBy}` or rejects (ApiError, or fetch's own when offline). */
export const api = {
  rooms: () => ask("/api/rooms"),
  history: (slug, before) =>
    ask(`/api/rooms/${encodeURIComponent(slug)}/messages${before === null ? "" : `?before=${before}`}`),
  createRoom: (name) =>
    ask("/api/rooms", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name }),
    }),
};
