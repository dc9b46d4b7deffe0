// What the panels beside a transcript have in common.

import words from "../words/panels.js";
import { style } from "../core/main.js";
import { toast } from "../core/parts.js";
import { learn, t } from "../core/words.js";

learn(words);

const AT_ONCE = 5000;

/** The styles of the panels are there behind it. */
export const dressed = () => style("panels", "recording");

/** `heard(detail)` for an event of the model; returns how to stop. */
export function on(model, name, heard) {
  const listener = (event) => heard(event.detail || {});
  model.addEventListener(name, listener);
  return () => model.removeEventListener(name, listener);
}

/** Change segments, and offer to take all of it back. `told` is what was done, in words. */
export async function changed(model, changes, label, told) {
  let isAny = false, steps = 0;
  for (let at = 0; at < changes.length; at += AT_ONCE) {
    if (!await model.change(changes.slice(at, at + AT_ONCE), { label })) continue;
    isAny = true;
    steps += 1;
  }
  if (isAny) toast(told, { action: { text: t("undo"), run: () => { for (let step = 0; step < steps; step += 1) model.undo(); } } });
  return isAny;
}
