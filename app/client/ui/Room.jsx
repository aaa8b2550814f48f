// The open room: its name, who serves this page, what was said, and the field to say something.
import { addressOf } from "./address.js";
import { Composer } from "./Composer.jsx";
import { Connection } from "./Connection.jsx";
import { Menu } from "./icons.jsx";
import { MessageLog } from "./MessageLog.jsx";

export function Room({ session, state, room, menu }) {
  const isGone = state.connection.phase === "refused";
  return (
    <main className="room">
      <header className="room-head">
        <button
          ref={menu.ref}
          className="icon-button only-narrow menu-button"
          onClick={menu.onClick}
          aria-label="Open the list of rooms"
          aria-expanded={menu.open}
          aria-controls="rooms"
        >
          <Menu />
          {menu.unread && <span className="unread" />}
        </button>
        <h1>
          <span className="room-hash" aria-hidden="true">
            #
          </span>
          {room?.name ?? state.room}
        </h1>
        <Connection connection={state.connection} rest={state.rest} onRetry={session.hurry} />
      </header>
      {isGone ? (
        <div className="empty">
          <p className="empty-title">There is no room “{state.room}”.</p>
          <a className="button primary" href={addressOf("general")}>
            Go to General
          </a>
        </div>
      ) : (
        <>
          <MessageLog
            key={`log ${state.room}`}
            session={session}
            state={state}
            roomName={room?.name ?? state.room}
          />
          <Composer
            key={`field ${state.room}`}
            session={session}
            slug={state.room}
            roomName={room?.name ?? state.room}
          />
        </>
      )}
    </main>
  );
}
