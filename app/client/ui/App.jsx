// The page: rooms at the side, the open room in the middle, and the dialogs.
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";

import { myName } from "../chat/identity.js";
import { isUnread } from "../chat/reducer.js";
import { addressOf, roomOfAddress } from "./address.js";
import { NameDialog } from "./NameDialog.jsx";
import { NewRoomDialog } from "./NewRoomDialog.jsx";
import { Room } from "./Room.jsx";
import { Sidebar } from "./Sidebar.jsx";

/** Keeps the open room and the page's address the same, in both directions. */
function useAddress(session) {
  useEffect(() => {
    const follow = () => session.open(roomOfAddress());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, [session]);
}

/** Tells the session when the person looks at the page and when not. */
function useAttention(session) {
  useEffect(() => {
    const tell = () => {
      if (document.visibilityState === "visible") {
        session.hurry();
        session.read();
      } else session.away();
    };
    document.addEventListener("visibilitychange", tell);
    return () => document.removeEventListener("visibilitychange", tell);
  }, [session]);
}

export function App({ session }) {
  const state = useSyncExternalStore(session.subscribe, session.getState);
  const [name, setName] = useState(myName.get());
  const [dialog, setDialog] = useState(name ? null : "name");
  const [drawer, setDrawer] = useState(false);
  const menuButton = useRef(null);
  useAddress(session);
  useAttention(session);

  const room = state.rooms?.find(({ slug }) => slug === state.room);
  const unread = state.rooms?.some((other) => isUnread(state, other));
  useEffect(() => {
    document.title = `${unread ? "• " : ""}${room ? `${room.name} · ` : ""}Paddock`;
  }, [room, unread]);

  const closeDrawer = useCallback(() => {
    setDrawer(false);
    menuButton.current?.focus();
  }, []);
  useEffect(() => {
    if (!drawer) return undefined;
    const onKey = (event) => event.key === "Escape" && closeDrawer();
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [drawer, closeDrawer]);

  return (
    <div className="page" data-drawer={drawer ? "open" : "closed"}>
      <Sidebar
        state={state}
        name={name}
        onRename={() => setDialog("name")}
        onNewRoom={() => setDialog("room")}
        onClose={closeDrawer}
      />
      <div className="scrim" onClick={closeDrawer} aria-hidden="true" />
      <Room
        session={session}
        state={state}
        room={room}
        menu={{ ref: menuButton, open: drawer, onClick: () => setDrawer(true), unread }}
      />
      {dialog === "name" && (
        <NameDialog
          name={name}
          onDone={(chosen) => {
            if (chosen) {
              myName.set(chosen);
              setName(chosen);
            }
            setDialog(null);
          }}
        />
      )}
      {dialog === "room" && (
        <NewRoomDialog
          create={session.createRoom}
          onDone={(slug) => {
            setDialog(null);
            if (!slug) return;
            location.hash = addressOf(slug);
            setDrawer(false);
          }}
        />
      )}
    </div>
  );
}
