// The open room is in the page's address (#general), so that it can be bookmarked and sent to a friend.
const FIRST_ROOM = "general";

/** The slug of the room that the address names. */
export function roomOfAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || FIRST_ROOM;
  } catch {
    return FIRST_ROOM; // a percent sign that encodes nothing
  }
}

/** The address of a room. */
export const addressOf = (slug) => `#${encodeURIComponent(slug)}`;
