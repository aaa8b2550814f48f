// How the page keeps in touch, without a browser: reconnecting, resending, catching up, on a clock of the test's own.
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { backoff, createConnection } from "../client/chat/connection.js";
import { logOf } from "../client/chat/reducer.js";
import { createSession } from "../client/chat/session.js";

const message = (id, more = {}) => ({
  id,
  room: "general",
  clientId: `c${id}`,
  author: "Ada",
  authorId: "a",
  text: `${id}`,
  at: "2026-03-01T10:00:00Z",
  ...more,
});
const ids = (list) => list.map(({ id }) => id);
test("the wait grows, has a limit, and is never the same for all", () => {
  for (const [attempt, least, most] of [
    [0, 90, 300],
    [1, 180, 600],
    [3, 720, 2400],
    [30, 4500, 15000],
  ]) {
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
  const answer = (body) =>
    Promise.resolve({ body, servedBy: { server: "app-2", process: "8", release: "r1" } });
  let serial = 0;
  const made = createSession({
    room: "general",
    api: {
      rooms: () => answer({ rooms: [{ slug: "general", name: "General", lastId: 3 }] }),
      history: (slug, before) => {
        asked.push([slug, before]);
        return answer({
          messages: history.filter(({ id }) => before === null || id < before).slice(-2),
          more: before === null,
        });
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
  assert.deepEqual(state().connection, {
    phase: "open",
    server: "app-1",
    process: 7,
    release: "r1",
    requestId: "id",
  });
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
  const texts = () =>
    socket()
      .sent.filter(({ type }) => type === "send")
      .map(({ clientId, text }) => [clientId, text]);
  made.start();
  await settle();
  made.send("before it is open");
  assert.deepEqual(texts(), []);
  socket().hello();
  made.send("second");
  assert.deepEqual(texts(), [
    ["id-1", "before it is open"],
    ["id-2", "second"],
  ]);
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
