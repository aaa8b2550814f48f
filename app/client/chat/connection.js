// One live connection that comes back by itself. It knows nothing of chat but the frames "hello", "ping", "pong".
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 15_000;
const STEADY_MS = 5_000; // a connection that held this long was good: the next wait is short again
const HELLO_WITHIN_MS = 10_000;
const CHECK_EVERY_MS = 5_000;
const QUIET_MS = 20_000; // nothing heard for so long: ask whether the server is there ...
const DEAD_MS = 32_000; // ... and believe no more that it is

/**
 * How long to wait before attempt number `attempt` (0: the first after a loss), in ms: doubling, capped, and random,
 * so that the readers of a server that went away do not return all at once.
 */
export const backoff = (attempt, random = Math.random) =>
  Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt) * (0.3 + 0.7 * random());

/**
 * @param {object} parts
 * @param {() => Promise<void>} parts.prepare done before each attempt; when it fails, so does the attempt
 * @param {() => string} parts.address where to connect to: asked anew for each attempt
 * @param {(frame: object) => void} parts.onFrame called for each frame, "hello" first
 * @param {(connection: object) => void} parts.onPhase {phase: "connecting" | "open" | "waiting" | "refused", ...}
 */
export function createConnection({ prepare, address, onFrame, onPhase, openSocket, random = Math.random }) {
  let current = 0; // counts attempts; whatever belongs to an earlier one is ignored
  let socket = null;
  let phase = "closed";
  let failures = 0;
  let openedAt = 0;
  let heardAt = 0;
  let timers = [];

  const enter = (next, more = {}) => {
    phase = next;
    onPhase({ phase, ...more });
  };

  function leave() {
    current += 1;
    for (const timer of timers) clearTimeout(timer); // clears intervals as well
    timers = [];
    socket?.close();
    socket = null;
  }

  function lost() {
    leave();
    if (phase === "open" && Date.now() - openedAt >= STEADY_MS) failures = 0;
    const wait = backoff(failures, random);
    failures += 1;
    timers.push(setTimeout(attempt, wait));
    enter("waiting", { until: Date.now() + wait, failures });
  }

  function watch() {
    const quiet = Date.now() - heardAt;
    if (quiet >= DEAD_MS) lost();
    else if (quiet >= QUIET_MS) socket.send(JSON.stringify({ type: "ping" }));
  }

  async function attempt() {
    leave();
    const mine = current;
    enter("connecting", { failures });
    try {
      await prepare();
    } catch (error) {
      if (mine !== current) return;
      if (error.final) enter("refused", { reason: error.code });
      else lost();
      return;
    }
    if (mine !== current) return;
    socket = openSocket(address());
    const helloLate = setTimeout(lost, HELLO_WITHIN_MS);
    timers.push(helloLate);
    socket.onmessage = ({ data }) => {
      if (mine !== current) return;
      heardAt = Date.now();
      const frame = JSON.parse(data);
      if (frame.type === "hello") {
        clearTimeout(helloLate);
        openedAt = heardAt;
        timers.push(setInterval(watch, CHECK_EVERY_MS));
        const { server, process, release, requestId } = frame;
        enter("open", { server, process, release, requestId });
      }
      if (frame.type !== "pong") onFrame(frame);
    };
    socket.onclose = ({ code }) => {
      if (mine !== current) return;
      if (code >= 4400 && code < 4500) {
        leave();
        enter("refused", { reason: code });
      } else lost();
    };
  }

  return {
    /** Connects, or connects anew (to another address, say). */
    restart: () => attempt(),
    /** Does not wait any longer: the network is back, the person came back. */
    hurry() {
      if (phase === "waiting") attempt();
      else if (phase === "open") watch();
    },
    /** Sends a frame when the connection is open; says whether it was. */
    send(frame) {
      if (phase !== "open") return false;
      socket.send(JSON.stringify(frame));
      return true;
    },
    close() {
      leave();
      phase = "closed";
    },
  };
}
