// The field in which the text of a segment is corrected, and its keys.

import { h } from "../core/dom.js";
import { clock } from "../core/format.js";
import { t } from "../core/words.js";

/**
 * {element, grow()}. `stop(isFocused)` when it is left, `beside(by)` for the segment before or after it.
 *
 * Keys: Enter and Shift+Enter go on and back, Tab plays or holds, Shift+Tab goes back five seconds.
 */
export function createEditor(model, at, { stop, beside }) {
  const segment = model.segments[at];
  const begun = segment.text;
  const area = h("textarea", {
    class: "lt-recording-editor",
    rows: "1",
    value: segment.text,
    lang: segment.language || null,
    dir: "auto",
    maxlength: "20000",
    "aria-label": t("recording.textAt", { time: clock(segment.start_s) }),
    spellcheck: "false",
  });

  function grow() {
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + 2}px`;
  }

  area.addEventListener("input", () => {
    model.write([{ position: at, text: area.value }], { isTyping: true });
    grow();
  });
  area.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.key === "Escape") stop(true);
    else if (event.key === "Enter" && isPlain) beside(event.shiftKey ? -1 : 1);
    else if (event.key === "Tab" && isPlain) {
      if (event.shiftKey) model.player?.step(-5);
      else model.player?.toggle();
    } else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
      // What was typed here is the browser's to take back and to put there again.
      if (event.shiftKey ? !model.canRedo : area.value !== begun) return;
      if (event.shiftKey) model.redo();
      else model.undo();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  area.addEventListener("blur", (event) => {
    if (document.hasFocus() && !event.relatedTarget?.closest?.(".lt-player, .lt-wave")) stop(false);
  });
  return { element: area, grow };
}
