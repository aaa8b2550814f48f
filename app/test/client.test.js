// What runs in the browser, without one: the state, the reconnecting, the resending, and how things are shown.
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { newId, suggestName } from "../client/chat/identity.js";
import { backoff, createConnection } from "../client/chat/connection.js";
import { dayLabel, groupMessages, hueOf, initialsOf, isOnlyEmoji, pieces, shortHost } from "../client/chat/present.js";
import { initialState, isUnread, lastIdOf, logOf, merge, reduce } from "../client/chat/reducer.js";
import { createSession } from "../client/chat/session.js";

const message = (id, more = {}) => ({ id, room: "general", clientId: `c${id}`, author: "Ada", authorId: "a", text: `${id}`, at: "2026-03-01T10:00:00Z", ...more });
const ids = (list) => list.map(({ id }) => id);
const run = (state, ...actions) => actions.reduce(reduce, state);
const opened = () =>
  run(
    initialState("general", { read: { general: 0 } }),
    { type: "rooms", rooms: [{ slug: "general", name: "General", lastId: 0 }, { slug: "random", name: "Random", lastId: 5 }] },
    { type: "history", room: "general", messages: [message(2), message(3)], more: true },
  );

test("merging orders by id and keeps each message once", () => {
  assert.deepEqual(ids(merge([], [message(3), message(1)])), [1, 3]);
  assert.deepEqual(ids(merge([message(1), message(3)], [message(4)])), [1, 3, 4]);
  assert.deepEqual(ids(merge([message(1), message(3)], [message(2)])), [1, 2, 3]);
  assert.deepEqual(ids(merge([message(1), message(3)], [message(3), message(1), message(5)])), [1, 3, 5]);
});

test("messages come in: duplicates vanish, the room's last id grows, closed rooms keep only that", () => {
  const state = run(
    opened(),
    { type: "received", messages: [message(3), message(5)] },
    { type: "received", messages: [message(4), message(9, { room: "random" })] },
  );
  assert.deepEqual(ids(logOf(state, "general").list), [2, 3, 4, 5]);
  assert.equal(lastIdOf(state, "general"), 5);
  assert.deepEqual(logOf(state, "random").list, []);
  assert.equal(state.rooms[1].lastId, 9);
  assert.equal(run(state, { type: "activity", room: "random", lastId: 7 }).rooms[1].lastId, 9);
});

test("older history goes in front; a hole in what is known forgets the room", () => {
  const older = run(opened(), { type: "history", room: "general", messages: [message(1)], more: false });
  assert.deepEqual([ids(logOf(older, "general").list), logOf(older, "general").more], [[1, 2, 3], false]);
  const forgotten = run(older, { type: "reset", room: "general" });
  assert.deepEqual(logOf(forgotten, "general"), { list: [], more: false, loaded: false });
});

test("one's message leaves the outbox when it comes back, by whichever way, and tells who one is", () => {
  const entry = { clientId: "mine", room: "general", text: "hi" };
  const waiting = run(opened(), { type: "queued", entry });
  assert.deepEqual(waiting.outbox, [entry]);
  const back = run(waiting, { type: "received", messages: [message(7, { clientId: "mine", authorId: "me" })] });
  assert.deepEqual([back.outbox, back.me], [[], "me"]);
  assert.equal(run(back, { type: "received", messages: [message(8)] }).me, "me");
  const refused = run(waiting, { type: "refused", clientId: "mine", problem: "too long" });
  assert.equal(refused.outbox[0].problem, "too long");
  assert.deepEqual(run(refused, { type: "discarded", clientId: "mine" }).outbox, []);
});

test("rooms: unread until looked at; one announced while the list is loading is kept", () => {
  let state = opened();
  const random = () => state.rooms.find(({ slug }) => slug === "random");
  assert.equal(isUnread(state, random()), true);
  state = run(state, { type: "opened", room: "random" }, { type: "history", room: "random", messages: [message(5, { room: "random" })], more: false }, { type: "read" });
  state = run(state, { type: "opened", room: "general" });
  assert.equal(isUnread(state, random()), false);
  state = run(state, { type: "activity", room: "random", lastId: 6 });
  assert.equal(isUnread(state, random()), true);
  assert.equal(run(state, { type: "opened", room: "random" }).newSince, 5);
  state = run(state, { type: "room", room: { slug: "new", name: "New", lastId: 0 } }, { type: "rooms", rooms: state.rooms });
  assert.deepEqual(state.rooms.map(({ slug }) => slug), ["general", "random", "new"]);
  const same = run(state, { type: "read" });
  assert.equal(run(same, { type: "read" }), same); // nothing changed: nothing to draw
});

test("at the first visit no room is new; what comes then is", () => {
  const rooms = [{ slug: "random", name: "Random", lastId: 5 }];
  const state = run(initialState("general"), { type: "rooms", rooms });
  assert.equal(isUnread(state, state.rooms[0]), false);
  const later = run(state, { type: "activity", room: "random", lastId: 6 }, { type: "rooms", rooms });
  assert.equal(isUnread(later, { slug: "random", lastId: 6 }), true);
});

test("the wait grows, has a limit, and is never the same for all", () => {
  for (const [attempt, least, most] of [[0, 90, 300], [1, 180, 600], [3, 720, 2400], [30, 4500, 15000]]) {
    assert.equal(Math.round(backoff(attempt, () => 0)), least);
    assert.equal(Math.round(backoff(attempt, () => 1)), most);
  }
});

/** A browser's websocket, as far as the client uses it, in the hands of the test. */
class FakeSocket {
  sent = [];
  constructor(address) {
    this.address = address;
    FakeSocket.all.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  hear(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
  hello() {
    this.hear({ type: "hello", server: "app-1", process: 7, release: "r1", requestId: "id" });
  }
}
const socket = () => FakeSocket.all.at(-1);
const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};
/** Time passes, in small steps: within one step of the mocked clock every timer sees the step's end. */
const pass = async (ms) => {
  for (let left = ms; left > 0; left -= 100) mock.timers.tick(Math.min(left, 100));
  await settle();
};

beforeEach(() => {
  FakeSocket.all = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
});

function connection(parts = {}) {
  const phases = [];
  const frames = [];
  const made = createConnection({
    prepare: async () => {},
    address: () => "/ws",
    onFrame: (frame) => frames.push(frame.type),
    onPhase: ({ phase }) => phases.push(phase),
    openSocket: (address) => new FakeSocket(address),
    random: () => 1,
    ...parts,
  });
  return { made, phases, frames };
}

test("a lost connection is tried again, each time later; after a steady time soon again", async () => {
  const { made, phases } = connection();
  made.restart();
  await settle();
  for (const wait of [300, 600, 1200]) {
    const { length } = FakeSocket.all;
    socket().onclose({ code: 1006 });
    await pass(wait - 1);
    assert.equal(FakeSocket.all.length, length);
    await pass(1);
    assert.equal(FakeSocket.all.length, length + 1);
  }
  socket().hello();
  assert.equal(phases.at(-1), "open");
  await pass(6000);
  socket().onclose({ code: 1012 });
  assert.equal(phases.at(-1), "waiting");
  await pass(300);
  assert.equal(phases.at(-1), "connecting");
  assert.equal(FakeSocket.all.length, 5);
  made.close();
});

test("a connection that never says hello, or falls silent, is given up", async () => {
  const { made, phases, frames } = connection();
  made.restart();
  await settle();
  await pass(10_000);
  assert.equal(phases.at(-1), "waiting");
  assert.equal(socket().closed, true);
  await pass(300);
  const live = socket();
  live.hello();
  await pass(20_000);
  assert.deepEqual(live.sent, [{ type: "ping" }]);
  live.hear({ type: "pong" });
  assert.deepEqual(frames, ["hello"]);
  await pass(30_000);
  assert.equal(phases.at(-1), "open");
  await pass(5000);
  assert.notEqual(phases.at(-1), "open");
  assert.equal(live.closed, true);
  live.hear({ type: "message" }); // too late: the page has a new connection
  assert.deepEqual(frames, ["hello"]);
  made.close();
});

test("a room that does not exist is not asked for again; a failed preparation is", async () => {
  const gone = connection();
  gone.made.restart();
  await settle();
  socket().onclose({ code: 4404 });
  await pass(60_000);
  assert.deepEqual([gone.phases.at(-1), FakeSocket.all.length], ["refused", 1]);

  let failing = true;
  const { made, phases } = connection({
    prepare: async () => {
      if (failing) throw new Error("offline");
    },
  });
  made.restart();
  await settle();
  assert.equal(phases.at(-1), "waiting");
  failing = false;
  made.hurry(); // the network is back
  await settle();
  assert.equal(FakeSocket.all.length, 2);
  made.close();
});

function session(history = []) {
  const asked = [];
  const answer = (body) => Promise.resolve({ body, servedBy: { server: "app-2", process: "8", release: "r1" } });
  let serial = 0;
  const made = createSession({
    room: "general",
    api: {
      rooms: () => answer({ rooms: [{ slug: "general", name: "General", lastId: 3 }] }),
      history: (slug, before) => {
        asked.push([slug, before]);
        return answer({ messages: history.filter(({ id }) => before === null || id < before).slice(-2), more: before === null });
      },
    },
    identity: () => ({ name: "Ada", key: "k" }),
    openSocket: (address) => new FakeSocket(address),
    newId: () => `id-${++serial}`,
    random: () => 1,
  });
  return { made, asked, state: made.getState };
}

test("a session loads the history, then connects from its last message, and shows who answered", async () => {
  const { made, asked, state } = session([message(1), message(2), message(3)]);
  made.start();
  await settle();
  assert.deepEqual(asked, [["general", null]]);
  assert.equal(socket().address, "/ws?room=general&since=3");
  socket().hello();
  await settle();
  assert.deepEqual(state().connection, { phase: "open", server: "app-1", process: 7, release: "r1", requestId: "id" });
  assert.equal(state().rest.server, "app-2");
  await made.older();
  assert.deepEqual(ids(logOf(state(), "general").list), [1, 2, 3]);
  assert.deepEqual(asked.at(-1), ["general", 2]);

  socket().hear({ type: "message", message: message(9) });
  socket().onclose({ code: 1012 });
  await pass(300);
  assert.equal(socket().address, "/ws?room=general&since=9");
  assert.equal(asked.length, 2); // the history is known: no need to load it again
  socket().hello();
  socket().hear({ type: "missed", messages: [message(9), message(10)] });
  assert.deepEqual(ids(logOf(state(), "general").list), [1, 2, 3, 9, 10]);
  socket().hear({ type: "reset" });
  await settle();
  assert.equal(asked.length, 3);
  made.close();
});

test("a message is sent until it is acknowledged: at once, again after a while, and on the next connection", async () => {
  const { made, state } = session();
  const texts = () => socket().sent.filter(({ type }) => type === "send").map(({ clientId, text }) => [clientId, text]);
  made.start();
  await settle();
  made.send("before it is open");
  assert.deepEqual(texts(), []);
  socket().hello();
  made.send("second");
  assert.deepEqual(texts(), [["id-1", "before it is open"], ["id-2", "second"]]);
  socket().hear({ type: "ack", clientId: "id-1", message: message(1, { clientId: "id-1" }) });
  await pass(3000);
  assert.equal(texts().length, 2);
  await pass(2000);
  assert.deepEqual(texts().slice(2), [["id-2", "second"]]);
  socket().onclose({ code: 1006 });
  await pass(600);
  socket().hello();
  assert.deepEqual(texts(), [["id-2", "second"]]);
  socket().hear({ type: "error", clientId: "id-2", code: "unavailable", message: "later", retry: true });
  assert.equal(state().outbox[0].problem, undefined);
  socket().hear({ type: "error", clientId: "id-2", code: "invalid", message: "too long", retry: false });
  assert.equal(state().outbox[0].problem, "too long");
  await pass(10_000);
  assert.deepEqual(texts(), [["id-2", "second"]]);
  made.close();
});

test("messages are grouped by person, time and day; the first new one of others is marked", () => {
  const at = (day, time) => new Date(`2026-03-0${day}T${time}:00`).toISOString();
  const list = [
    message(1, { at: at(1, "10:00") }),
    message(2, { at: at(1, "10:04") }),
    message(3, { at: at(1, "10:20") }),
    message(4, { at: at(1, "10:21"), authorId: "b" }),
    message(5, { at: at(1, "10:22"), authorId: "b" }),
    message(6, { at: at(2, "00:01"), authorId: "b" }),
  ];
  const groups = groupMessages(list, { newSince: 4, mine: ({ authorId }) => authorId === "a" });
  assert.deepEqual(groups.map((group) => ids(group.messages)), [[1, 2], [3], [4], [5], [6]]);
  assert.deepEqual(groups.map((group) => group.isNew), [false, false, false, true, false]);
  assert.deepEqual(groups.map((group) => group.day !== null), [true, false, false, false, true]);
  assert.deepEqual(groups.map((group) => group.mine), [true, true, false, false, false]);
  assert.equal(groupMessages(list, { newSince: 4, mine: () => true }).some((group) => group.isNew), false);
  const now = new Date(2026, 2, 2, 12);
  assert.deepEqual([dayLabel(at(2, "00:01"), now), dayLabel(at(1, "23:59"), now)], ["Today", "Yesterday"]);
  assert.match(dayLabel("2024-06-01T12:00:00", now), /2024/);
});

test("links are found without what only follows them", () => {
  assert.deepEqual(pieces("see https://a.example/b?c=d#e, or (http://f.example)."), [
    { text: "see " },
    { link: "https://a.example/b?c=d#e" },
    { text: ", or (" },
    { link: "http://f.example" },
    { text: ")." },
  ]);
  assert.deepEqual(pieces("javascript:alert(1) ftp://x <b>"), [{ text: "javascript:alert(1) ftp://x <b>" }]);
});

test("names, colours, emoji, ids", () => {
  assert.deepEqual(["Ada Lovelace", "ada", "Émile du Châtelet", "🐎 horse"].map(initialsOf), ["AL", "A", "ÉC", "🐎H"]);
  assert.equal(hueOf("Ada"), hueOf("Ada"));
  assert.ok(new Set(Array.from({ length: 100 }, (_, n) => hueOf(`person ${n}`))).size > 15);
  assert.deepEqual(["🐎", "👩‍🚀 🎉", "hi 🎉", "7", ""].map(isOnlyEmoji), [true, true, false, false, false]);
  assert.match(newId(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(suggestName(() => 0), "Amber Badger");
  assert.equal(shortHost("ip-10-0-0-1.eu-west-1.compute.internal"), "ip-10-0-0-1");
});
