// The open websockets of this process: who reads which room, and the frames that go to them.
const BEHIND_BYTES = 1024 * 1024; // a reader this far behind is cut off; it comes back and asks for the rest

/** Keeps the readers of each room. `joined` and `gone` are called by the socket's own code. */
export function createReaders({ log }) {
  const rooms = new Map(); // slug -> Set of sockets
  const all = new Set();

  function send(socket, text) {
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > BEHIND_BYTES) {
      log.warn(
        { "network.buffered.bytes": socket.bufferedAmount },
        "a reader is too far behind, cutting it off",
      );
      socket.terminate();
      return;
    }
    socket.send(text);
  }

  return {
    get size() {
      return all.size;
    },
    [Symbol.iterator]: () => all.values(),

    send: (socket, frame) => send(socket, JSON.stringify(frame)),

    join(socket, slug) {
      all.add(socket);
      socket.room = slug;
      if (!rooms.has(slug)) rooms.set(slug, new Set());
      rooms.get(slug).add(socket);
    },

    leave(socket) {
      all.delete(socket);
      const readers = rooms.get(socket.room);
      readers?.delete(socket);
      if (readers?.size === 0) rooms.delete(socket.room);
    },

    /** Sends a message whole to the readers of its room, and to all others only that there is something new. */
    deliver(message) {
      const inside = rooms.get(message.room) ?? new Set();
      const whole = JSON.stringify({ type: "message", message });
      const hint = JSON.stringify({ type: "activity", room: message.room, lastId: message.id });
      for (const socket of all) send(socket, inside.has(socket) ? whole : hint);
      log.info({ "chat.message.id": message.id, "chat.readers": inside.size }, "message delivered");
    },

    /** Tells everyone of a new room. */
    announceRoom({ slug, name }) {
      const frame = JSON.stringify({ type: "room", room: { slug, name, lastId: 0 } });
      for (const socket of all) send(socket, frame);
    },

    /**
     * Asks every reader to come back later, to whichever server the balancer picks: close code 1012, spread over
     * `spreadMs` so that they do not all return in one moment.
     */
    sendAway(reason, spreadMs) {
      for (const socket of all) {
        setTimeout(() => socket.close(1012, reason), Math.random() * spreadMs).unref();
      }
    },
  };
}
