// The tables, created at start. Every process of every server does it, one after the other, and may do it again.

// Any number will do, as long as nothing else in this database uses it.
const LOCK = 7_233_1001;

const STATEMENTS = `
  CREATE TABLE IF NOT EXISTS rooms (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug       text NOT NULL UNIQUE,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE TABLE IF NOT EXISTS messages (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room_id    bigint NOT NULL REFERENCES rooms,
    client_id  uuid NOT NULL UNIQUE,
    author     text NOT NULL,
    author_id  text NOT NULL,
    text       text NOT NULL,
    server     text NOT NULL,
    process    integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (room_id, id)
  );
  INSERT INTO rooms (slug, name)
    SELECT slug, name FROM (VALUES ('general', 'General'), ('random', 'Random'), ('deploys', 'Deploys')) AS first (slug, name)
    WHERE NOT EXISTS (SELECT FROM rooms);
`;

/**
 * Creates what is missing of the schema, in one transaction, under an advisory lock.
 *
 * @param {import("pg").Pool} pool
 * @throws the database's own error when it cannot be reached or the role may not create tables
 */
export async function createSchema(pool) {
  const client = await pool.connect();
  try {
    await client.query(`BEGIN; SELECT pg_advisory_xact_lock(${LOCK}); ${STATEMENTS} COMMIT;`);
    client.release();
  } catch (error) {
    client.release(error); // the connection may hang in a failed transaction: drop it
    throw error;
  }
}
