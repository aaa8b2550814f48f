// What the server accepts, in one place: the browser imports the same numbers, so that both agree.
export const LIMITS = Object.freeze({
  textLength: 2000, // characters of one message
  authorLength: 32, // characters of a display name
  roomNameLength: 40,
  rooms: 200, // the list of rooms is sent whole, so it must stay short
  pageSize: 50, // messages per page of history when the reader asks for no other number
  pageSizeMax: 100,
  payloadBytes: 16 * 1024, // of one request body or one websocket frame
  burst: 20, // messages one connection may send at once ...
  perSecond: 10, // ... and then per second
});
