// The side of the page: the rooms, the person, the theme. On a narrow screen it is a drawer.
import { useState } from "react";

import { myTheme } from "../chat/identity.js";
import { isUnread } from "../chat/reducer.js";
import { addressOf } from "./address.js";
import { Avatar } from "./Avatar.jsx";
import { Close, Fence, Pencil, Plus, ThemeIcon } from "./icons.jsx";
import { nextTheme } from "./theme.js";

export function Sidebar({ state, name, onRename, onNewRoom, onClose }) {
  return (
    <aside className="sidebar" id="rooms">
      <div className="brand">
        <span className="brand-mark">
          <Fence size={22} />
        </span>
        <span className="brand-name">Paddock</span>
        <button className="icon-button only-narrow" onClick={onClose} aria-label="Close the list of rooms">
          <Close />
        </button>
      </div>
      <nav aria-label="Rooms" className="rooms">
        <div className="rooms-head">
          <h2>Rooms</h2>
          <button className="icon-button" onClick={onNewRoom} aria-label="New room" title="New room">
            <Plus />
          </button>
        </div>
        <ul>
          {state.rooms === null && [64, 52, 60].map((width) => <li key={width} className="room-ghost" />)}
          {state.rooms?.map((room) => {
            const unread = isUnread(state, room);
            return (
              <li key={room.slug}>
                <a
                  href={addressOf(room.slug)}
                  className="room-link"
                  aria-current={room.slug === state.room ? "page" : undefined}
                  data-unread={unread}
                  onClick={onClose}
                >
                  <span className="room-hash" aria-hidden="true">
                    #
                  </span>
                  <span className="room-link-name">{room.name}</span>
                  {unread && <span className="unread" role="img" aria-label="new messages" />}
                </a>
              </li>
            );
          })}
        </ul>
      </nav>
      <div className="person">
        <button className="person-button" onClick={onRename} title="Change your name">
          <Avatar name={name || "?"} />
          <span className="person-name">{name || "Nobody yet"}</span>
          <Pencil />
        </button>
        <ThemeButton />
      </div>
    </aside>
  );
}

function ThemeButton() {
  const [theme, setTheme] = useState(myTheme.get());
  return (
    <button
      className="icon-button"
      onClick={() => setTheme(nextTheme())}
      aria-label={`Theme: ${theme}. Change it`}
      title={`Theme: ${theme}`}
    >
      <ThemeIcon theme={theme} />
    </button>
  );
}
