// The page's entry: what the browser remembers, the session, and the first drawing.
import { createRoot } from "react-dom/client";

import { api } from "./chat/api.js";
import { myAuthorId, myKey, myName, myRead, newId } from "./chat/identity.js";
import { createSession } from "./chat/session.js";
import { App } from "./ui/App.jsx";
import { roomOfAddress } from "./ui/address.js";
import { applyTheme } from "./ui/theme.js";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/log.css";
import "./styles/dialogs.css";

applyTheme();

const session = createSession({
  room: roomOfAddress(),
  read: myRead.get(),
  me: myAuthorId.get(),
  api,
  identity: () => ({ name: myName.get(), key: myKey() }),
  openSocket: (path) => new WebSocket(new URL(path, location.href).href.replace(/^http/, "ws")),
  newId,
});

let stored = session.getState();
session.subscribe(() => {
  const state = session.getState();
  if (state.read !== stored.read) myRead.set(state.read);
  if (state.me !== stored.me) myAuthorId.set(state.me);
  stored = state;
});
addEventListener("online", session.hurry);
addEventListener("pageshow", session.hurry);
session.start();

createRoot(document.getElementById("root")).render(<App session={session} />);
