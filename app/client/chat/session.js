// The chat as the page sees it: a state to draw, and what a person can do. Glues reducer, REST and live connection.
import { createConnection } from "./connection.js";
import { initialState, lastIdOf, logOf, reduce } from "./reducer.js";

const RESEND_AFTER_MS = 4000;
const RESEND_CHECK_MS = 1000;

/**
 * @param {object} parts
 * @param {string} parts.room the slug of the room to open first
 * @param {object} parts.read what was read at earlier visits: slug -> message id
 * @param {string | null} parts.me this person's author id, when an earlier visit learned it
 * @param {object} parts.api from `createApi`
 * @param {() => {name: string, key: string}} parts.identity who writes
 * @param {(url: string) => WebSocket} parts.openSocket
 * @param {() => string} parts.newId a fresh UUID
 */
export function createSession({ room, read, me, api, identity, openSocket, newId, random }) {
  let state = initialState(room, { read, me });
  const listeners = new Set();
  const sentAt = new Map(); // client id -> when it was last sent
  let loadingOlder = false;

  function dispatch(action) {
    const next = reduce(state, action);
    if (next === state) return;
    state = next;
    for (const listener of listeners) listener();
  }

  /** Asks the REST side, and remembers who answered. */
  async function ask(question) {
    const { body, servedBy } = await question;
    dispatch({ type: "answered", rest: servedBy });
    return body;
  }

  async function loadRooms() {
    const { rooms } = await ask(api.rooms());
    dispatch({ type: "rooms", rooms });
  }

  async function loadHistory(slug, before = null) {
    const { messages, more } = await ask(api.history(slug, before));
    dispatch({ type: "history", room: slug, messages, more });
  }

  function transmit(entry) {
    const { clientId, room: slug, author, key, text } = entry;
    if (connection.send({ type: "send", clientId, room: slug, author, key, text }))
      sentAt.set(clientId, Date.now());
  }

  const onFrame = {
    hello() {
      // The server stores each client id once, so sending again is safe.
      for (const entry of state.outbox) if (!entry.problem) transmit(entry);
      loadRooms().catch((error) => console.warn("The list of rooms stays as it was:", error));
    },
    missed: ({ messages }) => dispatch({ type: "received", messages }),
    message: ({ message }) => dispatch({ type: "received", messages: [message] }),
    ack({ message }) {
      sentAt.delete(message.clientId);
      dispatch({ type: "received", messages: [message] });
    },
    error({ clientId, message, retry }) {
      if (!retry) dispatch({ type: "refused", clientId, problem: message });
    },
    activity: (frame) => dispatch(frame),
    room: (frame) => dispatch(frame),
    reset() {
      dispatch({ type: "reset", room: state.room });
      connection.restart(); // loads the newest history first
    },
  };

  const connection = createConnection({
    openSocket,
    random,
    async prepare() {
      const slug = state.room;
      await Promise.all([state.rooms ?? loadRooms(), logOf(state, slug).loaded || loadHistory(slug)]);
    },
    address: () =>
      `/ws?${new URLSearchParams({ room: state.room, since: lastIdOf(state, state.room) ?? 0 })}`,
    onPhase: (phase) => dispatch({ type: "connection", connection: phase }),
    onFrame: (frame) => onFrame[frame.type]?.(frame),
  });

  const resending = setInterval(() => {
    for (const entry of state.outbox) {
      if (!entry.problem && Date.now() - (sentAt.get(entry.clientId) ?? 0) >= RESEND_AFTER_MS)
        transmit(entry);
    }
  }, RESEND_CHECK_MS);

  return {
    getState: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    start: () => connection.restart(),
    hurry: () => connection.hurry(),
    read: () => dispatch({ type: "read" }),
    away: () => dispatch({ type: "away" }),

    open(slug) {
      if (slug === state.room && state.connection.phase !== "refused") return;
      dispatch({ type: "opened", room: slug });
      connection.restart();
    },

    send(text) {
      const { name, key } = identity();
      const entry = {
        clientId: newId(),
        room: state.room,
        author: name,
        key,
        text,
        at: new Date().toISOString(),
      };
      dispatch({ type: "queued", entry });
      transmit(entry);
    },

    discard: (clientId) => dispatch({ type: "discarded", clientId }),

    async older() {
      const { list, more } = logOf(state, state.room);
      if (loadingOlder || !more) return;
      loadingOlder = true;
      try {
        await loadHistory(state.room, list[0].id);
      } finally {
        loadingOlder = false;
      }
    },

    /** Creates a room (or finds it) and opens it. Throws what the server says against it. */
    async createRoom(name) {
      const { room: made } = await ask(api.createRoom(name));
      dispatch({ type: "room", room: made });
      return made.slug;
    },

    close() {
      clearInterval(resending);
      connection.close();
    },
  };
}
