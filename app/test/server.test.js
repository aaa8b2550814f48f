// The chat on two real server processes and a real Postgres: REST, websockets, input that is refused, the log.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";

import { startPostgres } from "./support/postgres.js";
import { startServer, stopServers, until } from "./support/server.js";

let postgres, one, two;

before(async () => {
  postgres = await startPostgres();
  const env = await postgres.newDatabase("chat");
  [one, two] = await Promise.all([startServer(env), startServer(env)]); // at once: the schema is made under a lock
});

after(async () => {
  await Promise.all([one?.stop(), two?.stop()]);
  stopServers();
  postgres?.remove();
});

const errorOf = async (response) => [response.status, (await response.json()).error.code];

test("health and readiness name the release and who answered", async () => {
  const health = await one.get("/healthz");
  assert.deepEqual([health.status, await health.json()], [200, { status: "ok" }]);
  const ready = await one.get("/readyz");
  assert.equal(ready.status, 200);
  const body = await ready.json();
  assert.equal(body.status, "ok");
  assert.equal(body.release, "test-1");
  assert.equal(body.process, one.pid);
});

test("rooms: the first ones are there, a new one is made once, whatever its spelling", async () => {
  const made = await one.post("/api/rooms", { name: "  Café  & Küche " });
  assert.equal(made.status, 201);
  assert.deepEqual((await made.json()).room, { slug: "café-küche", name: "Café & Küche", lastId: 0 });
  const again = await two.post("/api/rooms", { name: "CAFÉ küche" });
  assert.equal(again.status, 200);
  assert.equal((await again.json()).room.name, "Café & Küche");
  const { rooms } = await (await two.get("/api/rooms")).json();
  assert.deepEqual(
    rooms.map((room) => room.slug),
    ["general", "random", "deploys", "café-küche"],
  );
});

test("a message reaches readers on both processes once, and other rooms learn that there is news", async () => {
  const [writer, near, far, elsewhere] = await Promise.all([
    one.connect("room=general"),
    one.connect("room=general"),
    two.connect("room=general"),
    two.connect("room=random"),
  ]);
  const ack = await writer.send("  hello\u0000 there \r\n you ");
  assert.equal(ack.type, "ack");
  assert.equal(ack.message.text, "hello there \n you");
  assert.equal(ack.message.process, one.pid);
  for (const reader of [writer, near, far]) {
    await until(() => reader.messages().length === 1);
    assert.deepEqual(reader.messages(), [ack.message]);
  }
  const news = await elsewhere.frame("activity");
  assert.deepEqual(news, { type: "activity", room: "general", lastId: ack.message.id });
  assert.equal(elsewhere.messages().length, 0);
  for (const reader of [writer, near, far, elsewhere]) reader.close();
});

test("readers on both processes learn of a new room", async () => {
  const readers = await Promise.all([one.connect("room=general"), two.connect("room=general")]);
  await one.post("/api/rooms", { name: "Garden" });
  for (const reader of readers) {
    assert.deepEqual((await reader.frame("room")).room, { slug: "garden", name: "Garden", lastId: 0 });
    reader.close();
  }
});

test("one person's messages keep their order; a hundred from both sides all arrive, once", async () => {
  await one.post("/api/rooms", { name: "Busy" });
  const writers = await Promise.all([0, 1, 2, 3, 4].map((n) => (n % 2 ? one : two).connect("room=busy")));
  const sent = [];
  for (const [n, writer] of writers.entries()) {
    for (let i = 0; i < 20; i++) sent.push(writer.send(`${n}:${i}`, { room: "busy" }));
  }
  assert.deepEqual(new Set((await Promise.all(sent)).map((answer) => answer.type)), new Set(["ack"]));
  for (const reader of writers) {
    await until(() => reader.messages().length >= 100);
    const texts = reader
      .messages()
      .sort((a, b) => a.id - b.id)
      .map((message) => message.text);
    assert.equal(new Set(texts).size, 100);
    assert.equal(texts.length, 100);
    const ofFirst = texts.filter((text) => text.startsWith("0:"));
    assert.deepEqual(
      ofFirst,
      Array.from({ length: 20 }, (_, i) => `0:${i}`),
    );
    reader.close();
  }
});

test("a message sent again, even to another process, is stored and delivered once", async () => {
  const [first, second] = await Promise.all([one.connect("room=random"), two.connect("room=random")]);
  const clientId = randomUUID();
  const ack = await first.send("once", { room: "random", clientId });
  const again = await second.send("once", { room: "random", clientId });
  assert.deepEqual(again, ack);
  const marker = await second.send("marker", { room: "random" });
  await until(() => second.messages().some((message) => message.id === marker.message.id));
  assert.deepEqual(
    second.messages().map((message) => message.text),
    ["once", "marker"],
  );
  const stolen = await second.send("mine now", { room: "random", clientId, key: "x".repeat(32) });
  assert.equal(stolen.code, "taken");
  first.close();
  second.close();
});

test("who comes back is sent what was missed, from another process too", async () => {
  await one.post("/api/rooms", { name: "Away" });
  const writer = await one.connect("room=away");
  const last = (await writer.send("seen", { room: "away" })).message.id;
  await writer.send("missed 1", { room: "away" });
  await writer.send("missed 2", { room: "away" });
  const back = await two.connect(`room=away&since=${last}`);
  const { messages } = await back.frame("missed");
  assert.deepEqual(
    messages.map((message) => message.text),
    ["seen", "missed 1", "missed 2"],
  );
  writer.close();
  back.close();
});

test("who was away too long is told to load the history", async () => {
  await one.post("/api/rooms", { name: "Long" });
  await postgres.query(
    "chat",
    `INSERT INTO messages (room_id, client_id, author, author_id, text, server, process)
     SELECT (SELECT id FROM rooms WHERE slug = 'long'), gen_random_uuid(), 'Old', 'old', n::text, 's', 1
       FROM generate_series(1, 450) AS n`,
  );
  const back = await one.connect("room=long&since=0");
  await back.frame("reset");
  back.close();

  const page = await (await two.get("/api/rooms/long/messages?limit=100")).json();
  assert.deepEqual([page.messages.length, page.messages.at(-1).text, page.more], [100, "450", true]);
  const older = await (await two.get(`/api/rooms/long/messages?before=${page.messages[0].id}`)).json();
  assert.deepEqual([older.messages.length, older.messages.at(-1).text, older.more], [50, "350", true]);
  const id = await (
    await two.get(`/api/rooms/long/messages?limit=100&before=${older.messages[0].id - 200}`)
  ).json();
  assert.deepEqual([id.messages.length, id.messages[0].text, id.more], [100, "1", false]);
});

test("bad requests get an answer that says what is wrong, with the request's id", async () => {
  const cases = [
    [one.get("/api/rooms/nowhere/messages"), 404, "no-such-room"],
    [one.get("/api/rooms/general/messages?limit=1000"), 400, "invalid"],
    [one.get("/api/rooms/general/messages?before=x"), 400, "invalid"],
    [one.get("/api/rooms/%E0%A4%A/messages"), 400, "invalid"],
    [one.get("/api/nothing"), 404, "not-found"],
    [one.post("/api/rooms", {}), 400, "invalid"],
    [one.post("/api/rooms", { name: "!!!" }), 400, "invalid"],
    [one.post("/api/rooms", { name: "x".repeat(41) }), 400, "invalid"],
    [one.post("/api/rooms", "{broken"), 400, "entity.parse.failed"],
    [one.post("/api/rooms", { name: "x".repeat(20_000) }), 413, "entity.too.large"],
  ];
  for (const [answer, status, code] of cases) {
    assert.deepEqual(await errorOf(await answer), [status, code], (await answer).url);
  }
  const { error } = await (
    await one.get("/api/nothing", { headers: { "X-Request-Id": "given-12345678" } })
  ).json();
  assert.equal(error.requestId, "given-12345678");
});

test("bad messages are refused and the connection stays; what is no message closes it", async () => {
  const reader = await one.connect("room=general");
  const refused = [
    ["   ", {}, "invalid"],
    ["x".repeat(2001), {}, "invalid"],
    ["hi", { author: "" }, "invalid"],
    ["hi", { key: "short" }, "invalid"],
    ["hi", { room: "nowhere" }, "no-such-room"],
    ["hi", { clientId: "7" }, "invalid"],
  ];
  for (const [text, more, code] of refused) {
    const answer = await reader.send(text, more);
    assert.deepEqual([answer.code, answer.retry], [code, false]);
  }
  assert.equal((await reader.send("still here")).type, "ack");
  reader.socket.send("not json");
  assert.equal((await reader.closed).code, 1003);

  const big = await one.connect("room=general");
  big.socket.send("x".repeat(20_000));
  assert.equal((await big.closed).code, 1009);
  const lost = await one.connect("room=nowhere");
  assert.deepEqual(await lost.closed, { code: 4404, reason: "no-such-room" });
});

test("who sends too fast is asked to send again later", async () => {
  const hasty = await one.connect("room=random");
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, n) => hasty.send(`${n}`, { room: "random" })),
  );
  const refused = answers.filter((answer) => answer.type === "error");
  assert.ok(refused.length > 0 && refused.length <= 20, `${refused.length} of 40 refused`);
  assert.ok(refused.every((answer) => answer.code === "too-fast" && answer.retry));
  hasty.close();
});

test("a page of another site gets no websocket; nor does another path", async () => {
  const open = (path, headers) =>
    one.connect("room=general", { headers }).then(
      (reader) => (reader.close(), 101),
      (error) => Number(/\d{3}/.exec(error.message)[0]),
    );
  assert.equal(await open("", { Origin: "https://evil.example" }), 403);
  assert.equal(await open("", { Origin: "null" }), 403);
  assert.equal(await open("", { Origin: one.url }), 101);
  const response = await fetch(`${one.url}//`, { headers: { "X-Request-Id": "still-alive-1" } });
  assert.equal(response.headers.get("x-request-id"), "still-alive-1");
});

test("the line of an answer says what the database took, and Postgres knows the request", async () => {
  const id = "timed-0123456789";
  await one.get("/api/rooms/general/messages", { headers: { "X-Request-Id": id } });
  const [answered] = await until(() => {
    const found = one.lines().filter((line) => line["http.request.id"] === id);
    return found.length > 0 && found;
  });
  assert.equal(answered["database.queries"], 2);
  assert.ok(answered["database.duration"] > 0 && answered["database.duration"] <= answered["event.duration"]);
  assert.match(postgres.log(), /\/\* request timed-0123456789 \*\/ SELECT/);

  const without = "nothing-asked-0123456789";
  await one.get("/api/nothing", { headers: { "X-Request-Id": without } });
  const line = await until(() => one.lines().find((each) => each["http.request.id"] === without));
  assert.ok(!("database.queries" in line));
});

test("the request's id is in the answer and on every line of the log that the request caused, on both servers", async () => {
  const id = "trace-me-0123456789";
  const answer = await one.post("/api/rooms", { name: "!" }, { "X-Request-Id": id });
  assert.equal(answer.headers.get("x-request-id"), id);
  const forged = await one.get("/api/rooms", { headers: { "X-Request-Id": "bad id\twith spaces" } });
  assert.match(forged.headers.get("x-request-id"), /^[0-9a-f-]{36}$/);

  const socketId = "socket-0123456789";
  const reader = await one.connect("room=general", { headers: { "X-Request-Id": socketId } });
  assert.equal(reader.headers["x-request-id"], socketId);
  assert.equal((await reader.frame("hello")).requestId, socketId);
  await reader.send("traced");
  reader.close();

  const of = (server, wanted) =>
    server
      .lines()
      .filter((line) => line["http.request.id"] === wanted)
      .map((line) => line.message);
  await until(() => of(one, id).includes("request answered"));
  const stages = ["websocket opened", "message stored", "message delivered", "websocket closed"];
  await until(() => stages.every((stage) => of(one, socketId).includes(stage)));
  await until(() => of(two, socketId).includes("message delivered"));
  for (const line of [...one.lines(), ...two.lines()]) {
    for (const key of [
      "@timestamp",
      "log.level",
      "message",
      "service.name",
      "host.hostname",
      "process.pid",
    ]) {
      assert.ok(key in line, `${key} is missing in ${JSON.stringify(line)}`);
    }
    assert.equal(line["service.version"], "test-1");
    const aboutRequest = /^(request|websocket|message|a frame)/.test(line.message);
    assert.equal("http.request.id" in line, aboutRequest, JSON.stringify(line));
  }
});
