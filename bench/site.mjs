// What the load and the chatters share: where the site is, when to stop, and the result.
import dns from "node:dns";

// Names below "localhost" lead to this machine, as browsers have it (RFC 6761, 6.3); the system's resolver may not know.
const { lookup } = dns;
dns.lookup = (name, options, done) => lookup(name.endsWith(".localhost") ? "localhost" : name, options, done);

/** Ends when somebody says so (SIGTERM, SIGINT), or after so many seconds. */
export function ending(seconds) {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, resolve);
    if (seconds) setTimeout(resolve, Number(seconds) * 1000);
  });
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Prints the result, and ends whatever is still open. */
export function report(result) {
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}
