// What the panels beside a transcript have in common.

import words from "../words/panels.js";
import { style } from "../core/main.js";
import { toast } from "../core/parts.js";
import { learn, t } from "../core/words.js";

learn(words);

/** The styles of the panels are there behind it. */
export const dressed = () => style("panels", "recording");

/** `heard(detail)` for an event of the model; returns how to stop. */
export function on(model, name, heard) {
  const listener = (event) => heard(event.detail || {});
  model.addEventListener(name, listener);
  return () => model.removeEventListener(name, listener);
}

/** Change segments, and offer to take it back until something else is changed. `told`: what was done. */
export async function changed(model, changes, told) {
  if (!(await model.change(changes))) return;
  const close = toast(told, { action: { text: t("undo"), run: () => model.undo() } });
  model.addEventListener("steps", close, { once: true });
}
