// Visitors of a site at a fixed rate, whatever the answers do (open loop). Prints what came of it as JSON.
//
//   node bench/load.mjs https://chat.localhost RATE [SECONDS]      NODE_EXTRA_CA_CERTS: the lab's authority
//
// Without SECONDS until SIGTERM. Latencies count from the moment at which a request was due, so that one that waits behind
// others is not left out. Connections are kept; a GET whose kept connection was closed is asked again on another one, as
// browsers do (RFC 9110, 9.2.2: "means to ... automatically retry"); a POST is not.
import https from "node:https";

import { ending, report, sleep } from "./site.mjs";

const [site, rate, seconds] = process.argv.slice(2);
const url = new URL(site);
const GIVEN_UP_MS = 20_000;
// Names a room that is there, so the answer is always the same and nothing is added.
const POST = { method: "POST", path: "/api/rooms", body: JSON.stringify({ name: "General" }) };
const GETS = ["/api/rooms", "/api/rooms", "/api/rooms/general/messages", "/"].map((path) => ({ method: "GET", path }));

const agent = new https.Agent({ keepAlive: true, maxFreeSockets: 128 });
const latencies = [];
const failures = {}; // reason -> how many
const releases = {}; // release -> how many it answered
let underWay = 0;
let retried = 0;
let latest = 0; // ms that the generator itself was behind, at most

/** One request; resolves to its status, or rejects. */
function ask({ method, path, body }, agentOfIt = agent) {
  return new Promise((resolve, reject) => {
    const headers = body ? { "Content-Type": "application/json", "Content-Length": body.length } : {};
    const request = https.request({ agent: agentOfIt, host: url.hostname, port: url.port, method, path, headers }, (response) => {
      response.resume();
      response.on("error", reject);
      response.on("end", () => {
        const release = response.headers["x-release"];
        if (release) releases[release] = (releases[release] ?? 0) + 1;
        if (response.complete) resolve(response.statusCode);
        else reject(Object.assign(new Error("cut off"), { code: "cut off" }));
      });
    });
    request.setTimeout(GIVEN_UP_MS, () => request.destroy(Object.assign(new Error(), { code: "no answer in time" })));
    request.on("error", (error) => reject(Object.assign(error, { stale: request.reusedSocket && error.code === "ECONNRESET" })));
    request.end(body);
  });
}

async function visit(what, due) {
  underWay += 1;
  let failure = null;
  try {
    const status = await ask(what).catch((error) => {
      if (!error.stale || what.method !== "GET") throw error;
      retried += 1;
      return ask(what, false); // a connection of its own
    });
    if (status !== 200) failure = status;
  } catch (error) {
    failure = error.code ?? error.message;
  }
  latencies.push(performance.now() - due);
  if (failure) failures[`${what.method} ${failure}`] = (failures[`${what.method} ${failure}`] ?? 0) + 1;
  underWay -= 1;
}

let over = false;
ending(seconds).then(() => (over = true));
const began = performance.now();
let count = 0;
while (!over) {
  const now = performance.now();
  for (; began + (count * 1000) / rate <= now; count += 1) {
    const due = began + (count * 1000) / rate;
    latest = Math.max(latest, now - due);
    visit(count % 10 < 3 ? POST : GETS[count % GETS.length], due);
  }
  await sleep(2);
}
const took = performance.now() - began;
for (const end = performance.now() + GIVEN_UP_MS + 1000; underWay && performance.now() < end; ) await sleep(50);

latencies.sort((a, b) => a - b);
const at = (share) => Math.round(latencies[Math.floor(share * (latencies.length - 1))] ?? 0);
report({
  requests: count,
  failed: Object.values(failures).reduce((sum, each) => sum + each, 0) + underWay,
  failures: underWay ? { ...failures, "never ended": underWay } : failures,
  retried,
  releases,
  rate: Math.round(count / (took / 1000)),
  behind_ms: Math.round(latest),
  p50_ms: at(0.5),
  p99_ms: at(0.99),
});
