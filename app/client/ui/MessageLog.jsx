// What was said in the open room. Stays at the newest message unless the person scrolled up; loads older ones there.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";

import { groupMessages } from "../chat/present.js";
import { logOf } from "../chat/reducer.js";
import { Down } from "./icons.jsx";
import { DayMark, MessageGroup, NewMark, PendingMessage } from "./MessageGroup.jsx";

const NEAR_END_PX = 80;

export function MessageLog({ session, state, roomName }) {
  const { list, more, loaded } = logOf(state, state.room);
  const pending = state.outbox.filter((entry) => entry.room === state.room);
  const groups = useMemo(
    () => groupMessages(list, { newSince: state.newSince, mine: (message) => message.authorId === state.me }),
    [list, state.newSince, state.me],
  );
  const { box, atEnd, toEnd } = useStickToEnd(list, pending.length);
  useEffect(() => {
    if (atEnd && document.visibilityState === "visible") session.read();
  }, [session, atEnd, list]);

  return (
    <div className="log-frame">
      <div
        className="log"
        ref={box}
        tabIndex={0}
        role="log"
        aria-label={`Messages in ${roomName}`}
        aria-busy={!loaded}
      >
        <div className="log-column">
          {more && <Older load={session.older} root={box} />}
          {loaded && !more && (
            <Beginning roomName={roomName} isEmpty={list.length === 0 && pending.length === 0} />
          )}
          {!loaded && <Ghosts />}
          {groups.map((group) => (
            <div key={group.key} className="log-part">
              {group.day && <DayMark at={group.day} />}
              {group.isNew && <NewMark />}
              <MessageGroup group={group} />
            </div>
          ))}
          {pending.map((entry) => (
            <PendingMessage
              key={entry.clientId}
              entry={entry}
              onDiscard={() => session.discard(entry.clientId)}
            />
          ))}
        </div>
      </div>
      {!atEnd && (
        <button className="to-end" onClick={toEnd}>
          <Down /> Newest
        </button>
      )}
    </div>
  );
}

/** Keeps the end in sight while the person is there, and the place when older messages come in above. */
function useStickToEnd(list, pendingCount) {
  const box = useRef(null);
  const [atEnd, setAtEnd] = useState(true);
  const stick = useRef(true);
  const before = useRef({ firstId: null, height: 0, pendingCount: 0 });

  const toEnd = useCallback(() => {
    stick.current = true;
    setAtEnd(true);
    box.current.scrollTop = box.current.scrollHeight;
  }, []);

  useEffect(() => {
    const element = box.current;
    const onScroll = () => {
      stick.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX;
      setAtEnd(stick.current);
    };
    element.addEventListener("scroll", onScroll, { passive: true });
    // The field below grows, the phone's keyboard opens: the end stays in sight.
    const observer = new ResizeObserver(() => stick.current && (element.scrollTop = element.scrollHeight));
    observer.observe(element);
    return () => {
      element.removeEventListener("scroll", onScroll);
      observer.disconnect();
    };
  }, []);

  useLayoutEffect(() => {
    const element = box.current;
    const last = before.current;
    const firstId = list[0]?.id ?? null;
    if (pendingCount > last.pendingCount) stick.current = true; // one's own message is always shown
    if (stick.current) element.scrollTop = element.scrollHeight;
    else if (last.firstId !== null && firstId < last.firstId)
      element.scrollTop += element.scrollHeight - last.height;
    before.current = { firstId, height: element.scrollHeight, pendingCount };
  }, [list, pendingCount]);

  return { box, atEnd, toEnd };
}

/** Loads older messages when it comes into sight; a button for who does not scroll, or when loading failed. */
function Older({ load, root }) {
  const ref = useRef(null);
  const [failed, setFailed] = useState(false);
  const [busy, setBusy] = useState(false);
  const run = useCallback(async () => {
    setBusy(true);
    setFailed(false);
    try {
      await load();
    } catch (error) {
      console.warn("Older messages could not be loaded:", error);
      setFailed(true);
    } finally {
      setBusy(false);
    }
  }, [load]);
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => entry.isIntersecting && run(), {
      root: root.current,
    });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, [run, root]);
  return (
    <button ref={ref} className="button older" onClick={run} disabled={busy}>
      {failed ? "That did not work. Try again" : busy ? "Loading…" : "Earlier messages"}
    </button>
  );
}

function Beginning({ roomName, isEmpty }) {
  return (
    <div className={isEmpty ? "beginning is-empty" : "beginning"}>
      <p className="empty-title">{isEmpty ? `It is quiet in ${roomName}` : `The beginning of ${roomName}`}</p>
      <p className="dim">
        {isEmpty ? "Say something: whoever is here sees it at once." : "This is where it all started."}
      </p>
    </div>
  );
}

function Ghosts() {
  return (
    <div className="ghosts" aria-hidden="true">
      {["short", "long", "middle"].map((kind) => (
        <div key={kind} className={`ghost ${kind}`} />
      ))}
    </div>
  );
}
