// Makes a new room; one that exists already is simply opened.
import { useState } from "react";

import { LIMITS } from "../../server/limits.js";
import { Dialog } from "./Dialog.jsx";

export function NewRoomDialog({ create, onDone }) {
  const [draft, setDraft] = useState("");
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);

  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      onDone(await create(draft));
    } catch (error) {
      setBusy(false);
      setProblem(
        error.code ? error.message : "The server cannot be reached just now. Try again in a moment.",
      );
    }
  }

  return (
    <Dialog title="New room" onCancel={() => onDone(null)}>
      <form onSubmit={submit}>
        <h2>New room</h2>
        <p>Everyone can see and enter it.</p>
        <label htmlFor="room-name">Name of the room</label>
        <input
          id="room-name"
          value={draft}
          maxLength={LIMITS.roomNameLength}
          autoComplete="off"
          autoFocus
          placeholder="Hay and oats"
          aria-describedby="room-problem"
          onChange={(event) => setDraft(event.target.value)}
        />
        <p id="room-problem" className="problem" role="alert">
          {problem}
        </p>
        <div className="dialog-actions">
          <button type="button" className="button" onClick={() => onDone(null)}>
            Cancel
          </button>
          <button type="submit" className="button primary" disabled={busy || draft.trim() === ""}>
            Create room
          </button>
        </div>
      </form>
    </Dialog>
  );
}
