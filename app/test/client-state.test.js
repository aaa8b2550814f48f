// What the page knows and how it shows it, without a browser: the reducer and the helpers of the drawing.
import assert from "node:assert/strict";
import { test } from "node:test";

import { newId, suggestName } from "../client/chat/identity.js";
import {
  dayLabel,
  groupMessages,
  hueOf,
  initialsOf,
  isOnlyEmoji,
  pieces,
  shortHost,
} from "../client/chat/present.js";
import { initialState, isUnread, lastIdOf, logOf, merge, reduce } from "../client/chat/reducer.js";

const message = (id, more = {}) => ({
  id,
  room: "general",
  clientId: `c${id}`,
  author: "Ada",
  authorId: "a",
  text: `${id}`,
  at: "2026-03-01T10:00:00Z",
  ...more,
});
const ids = (list) => list.map(({ id }) => id);
const run = (state, ...actions) => actions.reduce(reduce, state);
const opened = () =>
  run(
    initialState("general", { read: { general: 0 } }),
    {
      type: "rooms",
      rooms: [
        { slug: "general", name: "General", lastId: 0 },
        { slug: "random", name: "Random", lastId: 5 },
      ],
    },
    { type: "history", room: "general", messages: [message(2), message(3)], more: true },
  );

test("merging orders by id and keeps each message once", () => {
  assert.deepEqual(ids(merge([], [message(3), message(1)])), [1, 3]);
  assert.deepEqual(ids(merge([message(1), message(3)], [message(4)])), [1, 3, 4]);
  assert.deepEqual(ids(merge([message(1), message(3)], [message(2)])), [1, 2, 3]);
  assert.deepEqual(ids(merge([message(1), message(3)], [message(3), message(1), message(5)])), [1, 3, 5]);
});

test("messages come in: duplicates vanish, the room's last id grows, closed rooms keep only that", () => {
  const state = run(
    opened(),
    { type: "received", messages: [message(3), message(5)] },
    { type: "received", messages: [message(4), message(9, { room: "random" })] },
  );
  assert.deepEqual(ids(logOf(state, "general").list), [2, 3, 4, 5]);
  assert.equal(lastIdOf(state, "general"), 5);
  assert.deepEqual(logOf(state, "random").list, []);
  assert.equal(state.rooms[1].lastId, 9);
  assert.equal(run(state, { type: "activity", room: "random", lastId: 7 }).rooms[1].lastId, 9);
});

test("older history goes in front; a hole in what is known forgets the room", () => {
  const older = run(opened(), { type: "history", room: "general", messages: [message(1)], more: false });
  assert.deepEqual([ids(logOf(older, "general").list), logOf(older, "general").more], [[1, 2, 3], false]);
  const forgotten = run(older, { type: "reset", room: "general" });
  assert.deepEqual(logOf(forgotten, "general"), { list: [], more: false, loaded: false });
});

test("one's message leaves the outbox when it comes back, by whichever way, and tells who one is", () => {
  const entry = { clientId: "mine", room: "general", text: "hi" };
  const waiting = run(opened(), { type: "queued", entry });
  assert.deepEqual(waiting.outbox, [entry]);
  const back = run(waiting, {
    type: "received",
    messages: [message(7, { clientId: "mine", authorId: "me" })],
  });
  assert.deepEqual([back.outbox, back.me], [[], "me"]);
  assert.equal(run(back, { type: "received", messages: [message(8)] }).me, "me");
  const refused = run(waiting, { type: "refused", clientId: "mine", problem: "too long" });
  assert.equal(refused.outbox[0].problem, "too long");
  assert.deepEqual(run(refused, { type: "discarded", clientId: "mine" }).outbox, []);
});

test("rooms: unread until looked at; one announced while the list is loading is kept", () => {
  let state = opened();
  const random = () => state.rooms.find(({ slug }) => slug === "random");
  assert.equal(isUnread(state, random()), true);
  state = run(
    state,
    { type: "opened", room: "random" },
    { type: "history", room: "random", messages: [message(5, { room: "random" })], more: false },
    { type: "read" },
  );
  state = run(state, { type: "opened", room: "general" });
  assert.equal(isUnread(state, random()), false);
  state = run(state, { type: "activity", room: "random", lastId: 6 });
  assert.equal(isUnread(state, random()), true);
  assert.equal(run(state, { type: "opened", room: "random" }).newSince, 5);
  state = run(
    state,
    { type: "room", room: { slug: "new", name: "New", lastId: 0 } },
    { type: "rooms", rooms: state.rooms },
  );
  assert.deepEqual(
    state.rooms.map(({ slug }) => slug),
    ["general", "random", "new"],
  );
  const same = run(state, { type: "read" });
  assert.equal(run(same, { type: "read" }), same); // nothing changed: nothing to draw
});

test("at the first visit no room is new; what comes then is", () => {
  const rooms = [{ slug: "random", name: "Random", lastId: 5 }];
  const state = run(initialState("general"), { type: "rooms", rooms });
  assert.equal(isUnread(state, state.rooms[0]), false);
  const later = run(state, { type: "activity", room: "random", lastId: 6 }, { type: "rooms", rooms });
  assert.equal(isUnread(later, { slug: "random", lastId: 6 }), true);
});

test("messages are grouped by person, time and day; the first new one of others is marked", () => {
  const at = (day, time) => new Date(`2026-03-0${day}T${time}:00`).toISOString();
  const list = [
    message(1, { at: at(1, "10:00") }),
    message(2, { at: at(1, "10:04") }),
    message(3, { at: at(1, "10:20") }),
    message(4, { at: at(1, "10:21"), authorId: "b" }),
    message(5, { at: at(1, "10:22"), authorId: "b" }),
    message(6, { at: at(2, "00:01"), authorId: "b" }),
  ];
  const groups = groupMessages(list, { newSince: 4, mine: ({ authorId }) => authorId === "a" });
  assert.deepEqual(
    groups.map((group) => ids(group.messages)),
    [[1, 2], [3], [4], [5], [6]],
  );
  assert.deepEqual(
    groups.map((group) => group.isNew),
    [false, false, false, true, false],
  );
  assert.deepEqual(
    groups.map((group) => group.day !== null),
    [true, false, false, false, true],
  );
  assert.deepEqual(
    groups.map((group) => group.mine),
    [true, true, false, false, false],
  );
  assert.equal(
    groupMessages(list, { newSince: 4, mine: () => true }).some((group) => group.isNew),
    false,
  );
  const now = new Date(2026, 2, 2, 12);
  assert.deepEqual([dayLabel(at(2, "00:01"), now), dayLabel(at(1, "23:59"), now)], ["Today", "Yesterday"]);
  assert.match(dayLabel("2024-06-01T12:00:00", now), /2024/);
});

test("links are found without what only follows them", () => {
  assert.deepEqual(pieces("see https://a.example/b?c=d#e, or (http://f.example)."), [
    { text: "see " },
    { link: "https://a.example/b?c=d#e" },
    { text: ", or (" },
    { link: "http://f.example" },
    { text: ")." },
  ]);
  assert.deepEqual(pieces("javascript:alert(1) ftp://x <b>"), [{ text: "javascript:alert(1) ftp://x <b>" }]);
});

test("names, colours, emoji, ids", () => {
  assert.deepEqual(["Ada Lovelace", "ada", "Émile du Châtelet", "🐎 horse"].map(initialsOf), [
    "AL",
    "A",
    "ÉC",
    "🐎H",
  ]);
  assert.equal(hueOf("Ada"), hueOf("Ada"));
  assert.ok(new Set(Array.from({ length: 100 }, (_, n) => hueOf(`person ${n}`))).size > 15);
  assert.deepEqual(["🐎", "👩‍🚀 🎉", "hi 🎉", "7", ""].map(isOnlyEmoji), [true, true, false, false, false]);
  assert.match(newId(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(
    suggestName(() => 0),
    "Amber Badger",
  );
  assert.equal(shortHost("ip-10-0-0-1.eu-west-1.compute.internal"), "ip-10-0-0-1");
});
