// The field to write in. Enter sends, Shift+Enter breaks the line; on a touch keyboard the button sends.
import { useLayoutEffect, useRef, useState } from "react";

import { LIMITS } from "../../server/limits.js";
import { Send } from "./icons.jsx";

const WARN_LEFT = 200; // from here on the characters that are left are shown
const drafts = new Map(); // slug -> what was begun there

export function Composer({ session, slug, roomName }) {
  const [text, setText] = useState(drafts.get(slug) ?? "");
  const field = useRef(null);
  const left = LIMITS.textLength - text.length;

  useLayoutEffect(() => {
    drafts.set(slug, text);
    field.current.style.height = "auto";
    field.current.style.height = `${field.current.scrollHeight}px`;
  }, [slug, text]);

  function submit(event) {
    event?.preventDefault();
    if (text.trim() === "" || left < 0) return;
    session.send(text.trim());
    setText("");
    field.current.focus();
  }

  function onKeyDown(event) {
    const typed = event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing;
    if (typed && !matchMedia("(pointer: coarse)").matches) submit(event);
  }

  return (
    <form className="composer" onSubmit={submit}>
      <div className="composer-box">
        <textarea
          ref={field}
          rows={1}
          value={text}
          aria-label="Message"
          placeholder={`Message ${roomName}`}
          enterKeyHint="enter"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
        />
        {left < WARN_LEFT && (
          <span className="left" data-over={left < 0} role="status">
            {left}
          </span>
        )}
        <button type="submit" className="send" aria-label="Send" disabled={text.trim() === "" || left < 0}>
          <Send />
        </button>
      </div>
    </form>
  );
}
