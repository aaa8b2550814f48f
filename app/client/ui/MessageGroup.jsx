// How messages look: what one person wrote in a row, the marks between, and what is not delivered yet.
import { dayLabel, isOnlyEmoji, pieces, shortHost, timeLabel } from "../chat/present.js";
import { Avatar } from "./Avatar.jsx";

export function MessageGroup({ group }) {
  const [first] = group.messages;
  return (
    <div
      role="group"
      className={group.mine ? "group mine" : "group"}
      aria-label={`${group.mine ? "You" : first.author}, ${timeLabel(first.at)}`}
    >
      {!group.mine && <Avatar name={first.author} />}
      <div className="group-body">
        <p className="group-head">
          {!group.mine && <span className="author">{first.author}</span>}
          <time dateTime={first.at}>{timeLabel(first.at)}</time>
          <span className="via" title={`Taken in by ${first.server}, process ${first.process}`}>
            via {shortHost(first.server)}
          </span>
        </p>
        {group.messages.map((message) => (
          <Bubble key={message.clientId} message={message} />
        ))}
      </div>
    </div>
  );
}

function Bubble({ message }) {
  const title = `${new Date(message.at).toLocaleString()} · taken in by ${message.server}, process ${message.process}`;
  return (
    <div
      className={isOnlyEmoji(message.text) ? "bubble emoji" : "bubble"}
      data-message={message.id}
      title={title}
    >
      <Text text={message.text} />
    </div>
  );
}

function Text({ text }) {
  return pieces(text).map((piece, index) =>
    piece.link ? (
      <a key={index} href={piece.link} target="_blank" rel="noopener noreferrer nofollow">
        {piece.link}
      </a>
    ) : (
      piece.text
    ),
  );
}

/** One's own message on its way; one that was refused says why. */
export function PendingMessage({ entry, onDiscard }) {
  return (
    <div className="group mine pending" data-refused={entry.problem ? true : undefined}>
      <div className="group-body">
        <div className={isOnlyEmoji(entry.text) ? "bubble emoji" : "bubble"}>
          <Text text={entry.text} />
        </div>
        {entry.problem ? (
          <p className="pending-note" role="alert">
            Not sent: {entry.problem}{" "}
            <button className="link-button" onClick={onDiscard}>
              Discard
            </button>
          </p>
        ) : (
          <p className="pending-note">Sending…</p>
        )}
      </div>
    </div>
  );
}

export const DayMark = ({ at }) => (
  <h2 className="mark day-mark">
    <span>{dayLabel(at)}</span>
  </h2>
);

export const NewMark = () => (
  <p className="mark new-mark">
    <span>New</span>
  </p>
);
