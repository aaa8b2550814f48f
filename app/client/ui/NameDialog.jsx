// Asks who is there: at the first visit, and when the name is to change.
import { useState } from "react";

import { LIMITS } from "../../server/limits.js";
import { suggestName } from "../chat/identity.js";
import { Avatar } from "./Avatar.jsx";
import { Dialog } from "./Dialog.jsx";
import { Fence } from "./icons.jsx";

export function NameDialog({ name, onDone }) {
  const [draft, setDraft] = useState(() => name || suggestName());
  const clean = draft.replace(/\s+/g, " ").trim();
  const isFirst = name === "";
  return (
    <Dialog
      title={isFirst ? "Welcome to Paddock" : "Your name"}
      onCancel={isFirst ? undefined : () => onDone(null)}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (clean) onDone(clean);
        }}
      >
        {isFirst ? (
          <>
            <span className="dialog-mark">
              <Fence size={30} />
            </span>
            <h2>Welcome to Paddock</h2>
            <p>A small chat that runs on many servers at once. Pick a name and say hello.</p>
          </>
        ) : (
          <h2>Your name</h2>
        )}
        <label htmlFor="name">Your name</label>
        <div className="field-with-avatar">
          <Avatar name={clean || "?"} />
          <input
            id="name"
            value={draft}
            maxLength={LIMITS.authorLength}
            autoComplete="nickname"
            autoFocus
            onFocus={(event) => event.target.select()}
            onChange={(event) => setDraft(event.target.value)}
          />
        </div>
        <div className="dialog-actions">
          {!isFirst && (
            <button type="button" className="button" onClick={() => onDone(null)}>
              Cancel
            </button>
          )}
          <button type="submit" className="button primary" disabled={!clean}>
            {isFirst ? "Join the chat" : "Save"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
