// A person's sign: initials on a colour that is the same on every screen.
import { hueOf, initialsOf } from "../chat/present.js";

export function Avatar({ name }) {
  return (
    <span className="avatar" style={{ "--hue": hueOf(name) }} aria-hidden="true">
      {initialsOf(name)}
    </span>
  );
}
