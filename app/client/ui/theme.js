// Light, dark, or as the system has it.
import { myTheme } from "../chat/identity.js";

export const THEMES = ["system", "light", "dark"];

/** Puts the chosen theme on the page; the style sheets do the rest. */
export function applyTheme() {
  document.documentElement.dataset.theme = myTheme.get();
}

/** Chooses the theme after the current one, and returns it. */
export function nextTheme() {
  const next = THEMES[(THEMES.indexOf(myTheme.get()) + 1) % THEMES.length];
  myTheme.set(next);
  applyTheme();
  return next;
}
