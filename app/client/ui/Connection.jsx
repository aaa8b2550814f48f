// Is the page live, and which server is at the other end? A pill; a click opens the details.
import { useEffect, useRef, useState } from "react";

import { hueOf, shortHost } from "../chat/present.js";

const WORDS = { connecting: "Connecting", open: "Live", waiting: "Reconnecting", refused: "Not connected" };
const PATIENCE_MS = 400; // a change of rooms connects anew; what is over at once is not worth a word

/** The connection as it is shown: a short loss is not mentioned. */
function useCalm(connection) {
  const [shown, setShown] = useState(connection);
  const newest = useRef(connection);
  newest.current = connection;
  const isOpen = connection.phase === "open";
  useEffect(() => {
    if (isOpen) return undefined;
    // Counted from the moment it was lost, however often it changes from connecting to waiting.
    const timer = setTimeout(() => setShown(newest.current), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [isOpen]);
  const isLong = shown.phase !== "open";
  if (shown !== connection && (isOpen || isLong)) setShown(connection);
  return shown;
}

export function Connection({ connection: now, rest, onRetry }) {
  const connection = useCalm(now);
  const { phase } = connection;
  const details = useRef(null);
  useEffect(() => {
    const onPointer = (event) => {
      if (details.current?.open && !details.current.contains(event.target)) details.current.open = false;
    };
    addEventListener("pointerdown", onPointer);
    return () => removeEventListener("pointerdown", onPointer);
  }, []);
  return (
    <details
      className="connection"
      ref={details}
      data-phase={phase}
      data-server={connection.server}
      data-process={connection.process}
      onKeyDown={(event) => {
        if (event.key === "Escape") details.current.open = false;
      }}
    >
      <summary>
        <span className="lamp" />
        <span role="status">{WORDS[phase]}</span>
        {phase === "open" && connection.server && (
          <span className="served">
            {shortHost(connection.server)}
            <span className="served-process">·{connection.process}</span>
          </span>
        )}
      </summary>
      <div className="connection-card">
        <h2>Who serves you</h2>
        <p>
          The load balancer picks a server, the server one of its processes: for each request, and for each
          connection.
        </p>
        <Answer title="Live messages" who={phase === "open" ? connection : null} />
        <Answer title="Last request" who={rest} />
        {connection.requestId && (
          <dl>
            <dt>Request id</dt>
            <dd className="code">{connection.requestId}</dd>
          </dl>
        )}
        {phase === "waiting" && (
          <button className="button" onClick={onRetry}>
            Try now
          </button>
        )}
      </div>
    </details>
  );
}

function Answer({ title, who }) {
  return (
    <dl>
      <dt>{title}</dt>
      {who ? (
        <>
          <dd>
            <span className="server-chip" style={{ "--hue": hueOf(`${who.server}/${who.process}`) }} />
            {who.server} <span className="dim">process {who.process}</span>
          </dd>
          <dd className="dim">release {who.release}</dd>
        </>
      ) : (
        <dd className="dim">nobody just now</dd>
      )}
    </dl>
  );
}
