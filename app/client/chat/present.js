// How things are shown: groups of messages, days, times, colours, links. Pure.
const GROUP_GAP_MS = 5 * 60 * 1000;
const LINK = /\bhttps?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]}]/gi;
const ONLY_EMOJI = /^(?:\p{RGI_Emoji}\s*){1,5}$/v;

const sameDay = (a, b) => new Date(a).toDateString() === new Date(b).toDateString();

/**
 * Messages as they are drawn: one group for what a person wrote in a row. A group that starts a day has `day`, one
 * that starts with something new has `isNew`.
 *
 * @param {object[]} messages by id
 * @param {{newSince: number | null, mine: (message) => boolean}} options
 */
export function groupMessages(messages, { newSince = null, mine = () => false } = {}) {
  const groups = [];
  let seenNew = newSince === null;
  for (const message of messages) {
    const group = groups.at(-1);
    const before = group?.messages.at(-1);
    const newDay = !before || !sameDay(before.at, message.at);
    const isNew = !seenNew && message.id > newSince && !mine(message);
    if (isNew) seenNew = true;
    const follows =
      !newDay &&
      !isNew &&
      before.authorId === message.authorId &&
      before.author === message.author &&
      new Date(message.at) - new Date(before.at) < GROUP_GAP_MS;
    if (follows) group.messages.push(message);
    else
      groups.push({
        key: message.id,
        day: newDay ? message.at : null,
        isNew,
        mine: mine(message),
        messages: [message],
      });
  }
  return groups;
}

/** "Today", "Yesterday", or the date. */
export function dayLabel(at, now = new Date()) {
  const yesterday = new Date(now);
  yesterday.setDate(yesterday.getDate() - 1);
  if (sameDay(at, now)) return "Today";
  if (sameDay(at, yesterday)) return "Yesterday";
  const date = new Date(at);
  const options = { weekday: "long", day: "numeric", month: "long" };
  if (date.getFullYear() !== now.getFullYear()) options.year = "numeric";
  return date.toLocaleDateString(undefined, options);
}

/** The time of day, as this reader writes it. */
export const timeLabel = (at) =>
  new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });

/** A hue (0 to 359) that belongs to a text: the same on every screen. */
export function hueOf(text) {
  let hash = 2166136261; // FNV-1a
  for (const unit of text) hash = Math.imul(hash ^ unit.codePointAt(0), 16777619);
  // Steps of 15 degrees: hues that are close to each other cannot be told apart.
  return ((hash >>> 0) % 24) * 15;
}

/** One or two letters that stand for a name. */
export function initialsOf(name) {
  const words = name.split(/\s+/).filter(Boolean);
  const letters = [words[0], words.length > 1 ? words.at(-1) : ""].map((word) => [...word][0] ?? "");
  return letters.join("").toUpperCase();
}

/** A text in pieces: `{text}` or `{link}`. */
export function pieces(text) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    if (match.index > end) found.push({ text: text.slice(end, match.index) });
    found.push({ link: match[0] });
    end = match.index + match[0].length;
  }
  if (end < text.length) found.push({ text: text.slice(end) });
  return found;
}

/** Is it a few emoji and nothing else? Those are drawn large. */
export const isOnlyEmoji = (text) => ONLY_EMOJI.test(text);

/** A host's name without its domain, as there is little room. */
export const shortHost = (host) => host?.split(".")[0] ?? "";
