// All queries. A message is stored and announced to every server by one statement, so neither happens alone.
import { currentRequestId, databaseTime, queryMark } from "./context.js";
import { Refusal } from "./errors.js";
import { LIMITS } from "./limits.js";

/** The Postgres channel on which servers tell each other of new rows. */
export const CHANNEL = "chat";

// Serials are handed out before they are committed, so a lower id may appear after a higher one was read.
// A reader that was away is therefore sent this many ids before its last one again; it drops what it knows.
const REPLAY_WINDOW = 100;
const REPLAY_MAX = 300;

const MESSAGE = `m.id, r.slug AS room, m.client_id AS "clientId", m.author, m.author_id AS "authorId", m.text,
                 m.server, m.process, m.created_at AS at`;

const noSuchRoom = (slug) => new Refusal(404, "no-such-room", `There is no room "${slug}".`);

/**
 * The queries, over one pool.
 *
 * @param {import("pg").Pool} pool
 * @param {{server: string, process: number}} here stored with each message: who took it in
 */
export function createStore(pool, here) {
  const rows = async (text, values) => {
    const spent = databaseTime();
    const start = process.hrtime.bigint();
    try {
      return (await pool.query({ text: queryMark() + text, values })).rows;
    } finally {
      if (spent) {
        spent.duration += Number(process.hrtime.bigint() - start);
        spent.queries += 1;
      }
    }
  };

  return {
    /** Every room, with the id of its last message (0: none). */
    rooms: () =>
      rows(`SELECT r.slug, r.name, coalesce((SELECT max(m.id) FROM messages m WHERE m.room_id = r.id), 0) AS "lastId"
              FROM rooms r ORDER BY r.id`),

    /** Creates a room, or finds the one of that slug. Returns `{created, room}`. */
    async createRoom({ slug, name }) {
      const [made] = await rows(
        `WITH made AS (INSERT INTO rooms (slug, name) SELECT $1, $2 WHERE (SELECT count(*) FROM rooms) < $3
                       ON CONFLICT (slug) DO NOTHING RETURNING slug, name)
         SELECT slug, name, 0 AS "lastId", pg_notify($4, json_build_object('room', slug, 'request', $5::text)::text)
           FROM made`,
        [slug, name, LIMITS.rooms, CHANNEL, currentRequestId()],
      );
      const [room] = await rows(`SELECT slug, name, 0 AS "lastId" FROM rooms WHERE slug = $1`, [slug]);
      if (!room) throw new Refusal(409, "too-many-rooms", `There are already ${LIMITS.rooms} rooms.`);
      return { created: made !== undefined, room };
    },

    /** The room of that slug; a Refusal when there is none. */
    async room(slug) {
      const [room] = await rows(`SELECT slug, name FROM rooms WHERE slug = $1`, [slug]);
      if (!room) throw noSuchRoom(slug);
      return room;
    },

    /** One page of a room's history, oldest first: the `limit` messages before id `before` (null: the newest). */
    async history(slug, { before, limit }) {
      await this.room(slug);
      const found = await rows(
        `SELECT ${MESSAGE} FROM messages m JOIN rooms r ON r.id = m.room_id
          WHERE r.slug = $1 AND ($2::bigint IS NULL OR m.id < $2) ORDER BY m.id DESC LIMIT $3`,
        [slug, before, limit + 1],
      );
      return { messages: found.slice(0, limit).reverse(), more: found.length > limit };
    },

    /** What a reader missed after message `since`, and a little before; null when it is more than one can replay. */
    async missed(slug, since) {
      const found = await rows(
        `SELECT ${MESSAGE} FROM messages m JOIN rooms r ON r.id = m.room_id
          WHERE r.slug = $1 AND m.id > $2 ORDER BY m.id LIMIT $3`,
        [slug, Math.max(0, since - REPLAY_WINDOW), REPLAY_MAX + 1],
      );
      return found.length > REPLAY_MAX ? null : found;
    },

    /** The messages of these ids, oldest first. */
    messages: (ids) =>
      rows(
        `SELECT ${MESSAGE} FROM messages m JOIN rooms r ON r.id = m.room_id WHERE m.id = ANY ($1) ORDER BY m.id`,
        [ids],
      ),

    /** Stores a message and announces it; one that is stored already (by its client id) is only found again. */
    async add({ room, clientId, author, authorId, text }) {
      const [added] = await rows(
        `WITH m AS (INSERT INTO messages (room_id, client_id, author, author_id, text, server, process)
                    SELECT id, $2, $3, $4, $5, $6, $7 FROM rooms WHERE slug = $1
                    ON CONFLICT (client_id) DO NOTHING RETURNING *)
         SELECT m.id, pg_notify($8, json_build_object('message', m.id, 'request', $9::text)::text) FROM m`,
        [room, clientId, author, authorId, text, here.server, here.process, CHANNEL, currentRequestId()],
      );
      const [message] = await rows(
        `SELECT ${MESSAGE} FROM messages m JOIN rooms r ON r.id = m.room_id WHERE m.client_id = $1`,
        [clientId],
      );
      if (!message) throw noSuchRoom(room);
      if (message.authorId !== authorId)
        throw new Refusal(409, "taken", "This client id belongs to another message.");
      return { added: added !== undefined, message };
    },
  };
}
