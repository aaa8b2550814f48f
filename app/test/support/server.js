// Runs the real server as a process of its own, and speaks to it as a browser does.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { WebSocket } from "ws";

const MAIN = fileURLToPath(new URL("../../server/main.js", import.meta.url));

const running = new Set();
const directories = [];

/** Ends what a failed test left running, so that the failure is told and not waited for; clears up. */
export function stopServers() {
  for (const child of running) child.kill("SIGKILL");
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
}

/** Starts `server/main.js` on a free port and waits for its "ready"; rejects with its stderr when it ends instead. */
export async function startServer(env) {
  const directory = mkdtempSync(join(tmpdir(), "chat-server-"));
  directories.push(directory);
  const logFile = env.LOG_FILE ?? join(directory, "app.log");
  const child = spawn(process.execPath, [MAIN], {
    env: { PATH: process.env.PATH, PORT: "0", RELEASE: "test-1", DRAIN_MS: "300", ...env, LOG_FILE: logFile },
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  running.add(child);
  child.on("exit", () => running.delete(child));
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (complaints += text));
  const ended = once(child, "exit").then(([code, signal]) => ({ code, signal, complaints }));
  const lines = () =>
    readFileSync(logFile, "utf8")
      .trimEnd()
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  await Promise.race([
    once(child, "message"),
    ended.then((end) => {
      throw Object.assign(new Error(`the server ended with code ${end.code}: ${complaints}`), end);
    }),
  ]);
  // The log is written with a delay of up to a second.
  const port = await until(() => lines().find((line) => line.message === "ready")?.["server.port"]);
  const url = `http://127.0.0.1:${port}`;

  return {
    pid: child.pid,
    port,
    url,
    lines,
    ended,
    kill: (signal) => child.kill(signal),
    get: (path, options) => fetch(url + path, options),
    post: (path, body, headers) =>
      fetch(url + path, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    connect: (query, options) => connect(`${url.replace("http", "ws")}/ws?${query}`, options),
    async stop() {
      if (child.exitCode === null) child.kill("SIGTERM");
      return ended;
    },
  };
}

/** Opens a websocket and waits for the server's hello. `frames` collects all that comes. */
export async function connect(url, options) {
  const socket = new WebSocket(url, options);
  const frames = [];
  const closed = once(socket, "close").then(([code, reason]) => ({ code, reason: String(reason) }));
  socket.on("message", (data) => frames.push(JSON.parse(data)));
  closed.catch(() => {}); // told by the next line
  const [[response]] = await Promise.all([once(socket, "upgrade"), once(socket, "open")]);
  const reader = {
    socket,
    frames,
    closed,
    headers: response.headers,
    messages: () => frames.filter((frame) => frame.type === "message").map((frame) => frame.message),
    frame: (type) => until(() => frames.find((frame) => frame.type === type)),
    close: () => socket.close(),
    send(text, more = {}) {
      const clientId = more.clientId ?? randomUUID();
      const frame = {
        type: "send",
        room: "general",
        author: "Ada",
        key: "k".repeat(32),
        text,
        ...more,
        clientId,
      };
      const before = frames.length;
      const answers = (answer) => ["ack", "error"].includes(answer.type) && answer.clientId === clientId;
      socket.send(JSON.stringify(frame));
      return until(() => frames.slice(before).find(answers));
    },
  };
  await Promise.race([reader.frame("hello"), closed]); // from the hello on nothing is missed
  return reader;
}

/** Asks `look` again and again until it answers something; fails after `ms`. */
export async function until(look, ms = 5000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${ms} ms in vain for: ${look}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
