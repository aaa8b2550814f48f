// People who chat all the while, each with the page's own client: is a message lost, or shown twice? How long is one offline?
//
//   node bench/chatters.mjs https://chat.localhost CLIENTS [SECONDS]      NODE_EXTRA_CA_CERTS: the lab's authority
//
// Each says a message a second. Without SECONDS until SIGTERM; then what is still on its way may come, and the result is
// printed as JSON.
import { randomUUID } from "node:crypto";

import { api } from "../app/client/chat/api.js";
import { logOf } from "../app/client/chat/reducer.js";
import { createSession } from "../app/client/chat/session.js";
import { ending, report, sleep } from "./site.mjs";

const [site, clients, seconds] = process.argv.slice(2);
const ROOM = "general";
const LAST_COME_MS = 20_000;
const run = randomUUID().slice(0, 8); // other runs' messages are in the room, too
const { fetch } = globalThis;
globalThis.fetch = (path, options) => fetch(new URL(path, site), options); // as a page's relative address

const outages = [];
const said = [];
const phases = new Array(Number(clients)).fill("connecting");

const sessions = phases.map((_, number) => {
  const session = createSession({
    room: ROOM,
    read: {},
    me: null,
    api,
    identity: () => ({ name: `Chatter ${number}`, key: `${run}-${number}`.padEnd(32, "0") }),
    openSocket: (address) => new WebSocket(new URL(address, site.replace(/^http/, "ws"))),
    newId: () => randomUUID(),
  });
  let lost = null;
  session.subscribe(() => {
    const { phase } = session.getState().connection;
    if (phase === phases[number]) return;
    if (phases[number] === "open") lost = performance.now();
    if (phase === "open" && lost !== null) outages.push(performance.now() - lost);
    phases[number] = phase;
  });
  session.start();
  return session;
});

/** How often each of this run's messages stands in a client's log. */
function shown(session) {
  const counts = new Map();
  for (const { text } of logOf(session.getState(), ROOM).list) {
    if (text.startsWith(run)) counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return counts;
}

const missing = () => sessions.reduce((sum, session) => sum + said.filter((text) => !shown(session).has(text)).length, 0);

let over = false;
ending(seconds).then(() => (over = true));
while (phases.some((phase) => phase !== "open") && !over) await sleep(20);
for (let number = 0; !over; number += 1) {
  const text = `${run} ${number}`;
  said.push(text);
  sessions[number % sessions.length].send(text);
  await sleep(1000 / sessions.length);
}
for (const end = performance.now() + LAST_COME_MS; missing() && performance.now() < end; ) await sleep(200);

report({
  clients: sessions.length,
  messages: said.length,
  deliveries: said.length * sessions.length,
  lost: missing(),
  twice: sessions.flatMap((session) => [...shown(session).values()]).filter((count) => count > 1).length,
  unsent: sessions.reduce((sum, session) => sum + session.getState().outbox.length, 0),
  outages: outages.length,
  longest_outage_ms: Math.round(Math.max(0, ...outages)),
});
