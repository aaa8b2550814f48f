// How the server starts, leaves, and outlives its database: real processes, a real Postgres that is stopped and started.
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { startPostgres } from "./support/postgres.js";
import { startServer, stopServers, until } from "./support/server.js";

let postgres, env;

before(async () => {
  postgres = await startPostgres();
  env = await postgres.newDatabase("chat");
});

after(() => {
  stopServers();
  postgres?.remove();
});

/** A request on a connection of `agent`; `finish` sends the rest of the body. */
function slowPost(server, agent, first, rest) {
  const headers = { "Content-Type": "application/json", "Content-Length": first.length + rest.length };
  const request = http.request({ port: server.port, agent, method: "POST", path: "/api/rooms", headers });
  request.write(first);
  const answered = once(request, "response").then(([response]) => (response.resume(), response));
  return { answered, finish: () => request.end(rest) };
}

async function get(server, agent, path) {
  const request = http.get({ port: server.port, agent, path });
  const [response] = await once(request, "response");
  response.resume();
  await once(response, "end");
  return {
    status: response.statusCode,
    connection: response.headers.connection,
    reused: request.reusedSocket,
  };
}

/** Waits until the server takes no new connections. */
const refusing = (server) =>
  until(() =>
    server.get("/healthz").then(
      () => false,
      (error) => error.cause.code === "ECONNREFUSED",
    ),
  );

test("on SIGTERM every request is still answered, new connections go elsewhere, readers are sent away", async () => {
  const server = await startServer({ ...env, DRAIN_MS: "600" });
  const agents = Array.from({ length: 4 }, () => new http.Agent({ keepAlive: true, maxSockets: 1 }));
  for (const agent of agents) assert.equal((await get(server, agent, "/healthz")).connection, "keep-alive");
  const slow = slowPost(server, agents[0], '{"name":', '"Slow"}');
  const reader = await server.connect("room=general");
  await sleep(50);

  const start = Date.now();
  server.kill("SIGTERM");
  await refusing(server);
  assert.deepEqual(await get(server, agents[1], "/api/rooms"), {
    status: 200,
    connection: "close",
    reused: true,
  });
  assert.deepEqual(await get(server, agents[2], "/readyz"), {
    status: 503,
    connection: "close",
    reused: true,
  });
  slow.finish();
  const answer = await slow.answered;
  assert.deepEqual([answer.statusCode, answer.headers.connection], [201, "close"]);
  assert.deepEqual(await reader.closed, { code: 1012, reason: "the server restarts" });

  const end = await server.ended;
  assert.deepEqual(end, { code: 0, signal: null, complaints: "" });
  // agents[3]'s connection is idle: it is closed only after the drain time.
  assert.ok(Date.now() - start >= 600, `ended after ${Date.now() - start} ms`);
  assert.ok(Date.now() - start < 4000, `ended after ${Date.now() - start} ms`);
  assert.deepEqual(
    server
      .lines()
      .map((line) => line.message)
      .slice(-1),
    ["stopped"],
  ); // nothing of the log is lost
  for (const agent of agents) agent.destroy();
  await server.stop();
});

test("a leaving server takes no new websockets; who comes back elsewhere misses nothing", async () => {
  const [leaving, staying] = await Promise.all([startServer({ ...env, DRAIN_MS: "500" }), startServer(env)]);
  const agent = new http.Agent({ keepAlive: true });
  await get(leaving, agent, "/healthz");
  const reader = await leaving.connect("room=general");
  const last = (await reader.send("before")).message.id;

  leaving.kill("SIGINT"); // what PM2 sends
  const upgrade = {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  await refusing(leaving);
  const request = http.get({ port: leaving.port, agent, path: "/ws?room=general", headers: upgrade });
  const [refused] = await once(request, "response");
  assert.equal(refused.statusCode, 503);
  refused.resume();
  assert.equal((await reader.closed).code, 1012);

  const writer = await staying.connect("room=general");
  const sent = await writer.send("meanwhile");
  const back = await staying.connect(`room=general&since=${last}`);
  const { messages } = await back.frame("missed");
  assert.deepEqual(messages.slice(-1), [sent.message]);
  writer.close();
  back.close();
  agent.destroy();
  assert.equal((await leaving.stop()).code, 0);
  assert.equal((await staying.stop()).code, 0);
});

test("without its database the server lives but is not ready; with it again, all goes on", async () => {
  const server = await startServer(env);
  const reader = await server.connect("room=general");
  postgres.stop();
  assert.deepEqual(await reader.closed, { code: 1012, reason: "no news from the database" });
  const response = await server.get("/readyz");
  assert.equal(response.status, 503);
  const body = await response.json();
  assert.deepEqual([body.status, body.release], ["unavailable", "test-1"]);
  assert.match(body.reason, /database/);
  assert.equal((await server.get("/healthz")).status, 200);
  await assert.rejects(server.connect("room=general"), /503/);
  const failed = await server.get("/api/rooms");
  assert.deepEqual([failed.status, (await failed.json()).error.code], [500, "internal"]);

  postgres.start();
  await until(async () => (await server.get("/readyz")).status === 200, 10_000);
  const again = await server.connect("room=general");
  const { message } = await again.send("we are back");
  await until(() => again.messages().some(({ id }) => id === message.id));
  again.close();
  assert.equal((await server.stop()).code, 0);
});

test("a server that starts before its database waits for it", async () => {
  postgres.stop();
  const starting = startServer({ ...env, DATABASE_WAIT_MS: "8000" });
  await sleep(1200);
  postgres.start();
  const server = await starting;
  assert.equal((await server.get("/readyz")).status, 200);
  assert.ok(server.lines().some((line) => line.message === "the database is not ready yet, trying again"));
  await server.stop();
});

test("what keeps the server from starting is told in two lines, with exit code 1", async () => {
  const directory = mkdtempSync(join(tmpdir(), "chat-wrong-"));
  const running = await startServer(env);
  const cases = [
    [{ PORT: "web" }, /^PORT is "web"\nSet it to a whole number from 0 to 65535\..*\n$/],
    [{ DRAIN_MS: "-1" }, /^DRAIN_MS is "-1"\n/],
    [{ LOG_LEVEL: "loud" }, /^LOG_LEVEL is "loud"\nSet it to one of .*\n$/],
    [
      { LOG_FILE: join(directory, "no/such/app.log") },
      /^LOG_FILE names .*, which cannot be written \(ENOENT\)\n.*\n$/,
    ],
    [
      { DATABASE_PASSWORD_FILE: join(directory, "none") },
      /^DATABASE_PASSWORD_FILE names .* cannot be read \(ENOENT\)\n.*\n$/,
    ],
    [
      { DATABASE_NAME: "nowhere", DATABASE_WAIT_MS: "0" },
      /^The database at .* did not answer well within 0 ms: database "nowhere" does not exist\n.*\n$/,
    ],
    [
      { DATABASE_PASSWORD_FILE: "", DATABASE_PASSWORD: "wrong", DATABASE_WAIT_MS: "0" },
      /password authentication failed/,
    ],
    [{ PORT: String(running.port) }, /^Cannot listen on 127\.0\.0\.1:\d+ \(EADDRINUSE\)\nFree the port.*\n$/],
  ];
  for (const [wrong, complaint] of cases) {
    const error = await startServer({ ...env, ...wrong }).then(
      () => assert.fail(`started with ${JSON.stringify(wrong)}`),
      (reason) => reason,
    );
    assert.equal(error.code, 1);
    assert.match(error.complaints, complaint);
  }
  await running.stop();
  rmSync(directory, { recursive: true });
});

test("on SIGUSR2 the log goes on in a new file, and no line is lost", async () => {
  const directory = mkdtempSync(join(tmpdir(), "chat-log-"));
  const logFile = join(directory, "app.log");
  const server = await startServer({ ...env, LOG_FILE: logFile });
  await (await server.get("/api/rooms", { headers: { "X-Request-Id": "before-rotation" } })).json();
  renameSync(logFile, `${logFile}.1`);
  server.kill("SIGUSR2");
  await until(() => existsSync(logFile));
  await (await server.get("/api/rooms", { headers: { "X-Request-Id": "after-rotation" } })).json();
  await server.stop();
  const [old, fresh] = [`${logFile}.1`, logFile].map((file) => readFileSync(file, "utf8"));
  assert.match(old, /before-rotation/);
  assert.match(fresh, /after-rotation/);
  assert.match(fresh, /"message":"stopped"/);
  rmSync(directory, { recursive: true });
});
