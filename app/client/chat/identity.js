// What this browser remembers: a person's name and key, the theme, what was read. Works without storage, too.
const MEMORY = new Map(); // when the browser stores nothing (private windows of some browsers)

function load(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(`paddock.${key}`)) ?? MEMORY.get(key) ?? fallback;
  } catch {
    return MEMORY.get(key) ?? fallback; // no storage, or what is stored is not ours
  }
}

function save(key, value) {
  MEMORY.set(key, value);
  try {
    localStorage.setItem(`paddock.${key}`, JSON.stringify(value));
  } catch {
    // No storage: MEMORY has it until the page is closed.
  }
}

/** A random UUID. `crypto.randomUUID` exists on https only; development in the local network does without. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The secret half of a person's identity; made at the first visit, kept by this browser. */
export function myKey() {
  const known = load("key", null);
  if (known) return known;
  const fresh = newId();
  save("key", fresh);
  return fresh;
}

const setting = (key, fallback) => ({ get: () => load(key, fallback), set: (value) => save(key, value) });

export const myName = setting("name", "");
export const myAuthorId = setting("authorId", null);
export const myRead = setting("read", {});
export const myTheme = setting("theme", "system");

const FIRST = [
  "Amber",
  "Brisk",
  "Calm",
  "Dapper",
  "Eager",
  "Gentle",
  "Hazel",
  "Jolly",
  "Keen",
  "Mellow",
  "Nimble",
  "Sunny",
];
const SECOND = [
  "Badger",
  "Colt",
  "Finch",
  "Heron",
  "Lynx",
  "Marten",
  "Mustang",
  "Otter",
  "Pony",
  "Robin",
  "Stoat",
  "Wren",
];

/** A name for who has no idea for one. */
export const suggestName = (random = Math.random) =>
  [FIRST, SECOND].map((words) => words[Math.floor(random() * words.length)]).join(" ");
