// All that the page knows, and how each event changes it. Pure: no clock, no network.

/** The state of a page that has heard nothing yet. `read` maps a room's slug to the last message id seen there. */
export const initialState = (room, { read = {}, me = null } = {}) => ({
  room,
  me, // this person's author id: it is on the first message that comes back from the server
  rooms: null, // until the first answer
  logs: {}, // slug -> {list: messages by id, more: is there older history, loaded}
  outbox: [], // what the server has not acknowledged yet
  connection: { phase: "connecting" },
  rest: null, // who answered the last REST request
  read,
  newSince: null, // in the open room, messages after this id came while it was not looked at
});

const EMPTY = { list: [], more: false, loaded: false };

/** The log of a room: an empty one for a room that was never opened. */
export const logOf = (state, slug) => state.logs[slug] ?? EMPTY;

/** The id of the last message known of a room, or null. */
export const lastIdOf = (state, slug) => logOf(state, slug).list.at(-1)?.id ?? null;

/** Is there something in this room that this person has not seen? */
export const isUnread = (state, room) =>
  room.slug !== state.room && room.lastId > (state.read[room.slug] ?? 0);

/** Puts messages into a list that is ordered by id and holds each id once. */
export function merge(list, more) {
  const last = list.at(-1)?.id ?? 0;
  if (more.length === 1 && more[0].id > last) return [...list, more[0]];
  const byId = new Map([...list, ...more].map((message) => [message.id, message]));
  return [...byId.values()].sort((a, b) => a.id - b.id);
}

const withLog = (state, slug, change) => ({
  ...state,
  logs: { ...state.logs, [slug]: { ...logOf(state, slug), ...change } },
});

function withRoom(state, room) {
  const rooms = state.rooms ?? [];
  const known = rooms.find(({ slug }) => slug === room.slug);
  if (!known) return { ...state, rooms: [...rooms, room] };
  if (known.lastId >= room.lastId) return state;
  return {
    ...state,
    rooms: rooms.map((other) => (other === known ? { ...known, lastId: room.lastId } : other)),
  };
}

function received(state, messages) {
  let next = state;
  for (const slug of new Set(messages.map((message) => message.room))) {
    const here = messages.filter((message) => message.room === slug);
    // A room that was never opened loads its history when it is.
    if (slug === state.room || logOf(state, slug).loaded) {
      next = withLog(next, slug, { list: merge(logOf(next, slug).list, here) });
    }
    const room = state.rooms?.find((other) => other.slug === slug);
    if (room) next = withRoom(next, { ...room, lastId: Math.max(...here.map(({ id }) => id)) });
  }
  const arrived = new Map(messages.map((message) => [message.clientId, message]));
  const outbox = state.outbox.filter((entry) => !arrived.has(entry.clientId));
  if (outbox.length === state.outbox.length) return next;
  const mine = state.outbox.find((entry) => arrived.has(entry.clientId));
  return { ...next, outbox, me: arrived.get(mine.clientId).authorId };
}

const ACTIONS = {
  opened: (state, { room }) => ({ ...state, room, newSince: state.read[room] ?? null }),
  connection: (state, { connection }) => ({ ...state, connection }),
  answered: (state, { rest }) => ({ ...state, rest }),
  rooms(state, { rooms }) {
    // A room may have been announced while this list was on its way.
    const listed = new Map(rooms.map((room) => [room.slug, room]));
    const announced = (state.rooms ?? []).filter(({ slug }) => !listed.has(slug));
    // At the first visit nothing is new: all that was said before is before one's time.
    const isFirst = Object.keys(state.read).length === 0;
    const read = isFirst ? Object.fromEntries(rooms.map((room) => [room.slug, room.lastId])) : state.read;
    return { ...state, rooms: [...rooms, ...announced], read };
  },
  room: (state, { room }) => withRoom(state, room),
  activity(state, { room: slug, lastId }) {
    const room = state.rooms?.find((other) => other.slug === slug);
    return room ? withRoom(state, { ...room, lastId }) : state;
  },
  /** One page of history: the newest (`before` is null) or older ones. */
  history: (state, { room, messages, more }) =>
    withLog(state, room, { list: merge(logOf(state, room).list, messages), more, loaded: true }),
  /** More was missed than is replayed: what is known of the room has a hole, so it is forgotten. */
  reset: (state, { room }) => withLog(state, room, EMPTY),
  received: (state, { messages }) => received(state, messages),
  queued: (state, { entry }) => ({ ...state, outbox: [...state.outbox, entry], newSince: null }),
  refused: (state, { clientId, problem }) => ({
    ...state,
    outbox: state.outbox.map((entry) => (entry.clientId === clientId ? { ...entry, problem } : entry)),
  }),
  discarded: (state, { clientId }) => ({
    ...state,
    outbox: state.outbox.filter((entry) => entry.clientId !== clientId),
  }),
  /** The person looked at the open room. */
  read(state) {
    const lastId = lastIdOf(state, state.room);
    if (lastId === null || lastId <= (state.read[state.room] ?? 0)) return state;
    return { ...state, read: { ...state.read, [state.room]: lastId } };
  },
  /** The person looked away: what comes now is marked as new on return. */
  away: (state) => ({ ...state, newSince: lastIdOf(state, state.room) }),
};

/** The state after `action` (`{type, ...}`, one of ACTIONS). */
export const reduce = (state, action) => ACTIONS[action.type](state, action);
