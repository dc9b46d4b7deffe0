// The text of a segment as it is read: words that light up, doubtful ones, what was found.

import { h } from "../core/dom.js";
import { t } from "../core/words.js";
import { pieces } from "./spans.js";

const DOUBTFUL = 0.5;

/**
 * {element, words, found}: `found` holds the element of each of `words`.
 *
 * `layer` is written or spoken, `finds` are ranges of characters, `doubts` whether they are marked.
 */
export function createLine(segment, { layer, finds, doubts }) {
  const shown = layer === "spoken" ? segment.spoken : segment.text;
  const element = h("p", { class: "lt-recording-text", lang: segment.language || null, dir: "auto" });
  const line = { element, words: [], found: [] };
  if (segment.failure || !shown) {
    element.append(
      segment.failure
        ? h("span", { class: "lt-recording-gap" }, t("recording.gap"))
        : h("span", { class: "lt-soft" }, t("recording.noText")),
    );
    return line;
  }
  line.words = pieces(segment, layer);
  const isDoubtful = (confidence) => doubts && confidence !== null && confidence < DOUBTFUL;
  if (!line.words.length && isDoubtful(segment.confidence)) element.classList.add("lt-recording-doubt");
  let from = 0;
  line.words.forEach((word, n) => {
    element.append(...marked(shown, from, word.from, finds));
    const isDoubt = isDoubtful(word.confidence);
    const span = h(
      "span",
      {
        class: `lt-w${isDoubt ? " lt-recording-doubt" : ""}`,
        dataset: { n },
        title: isDoubt ? t("recording.doubtful", { percent: Math.round(100 * word.confidence) }) : null,
      },
      ...marked(shown, word.from, word.to, finds),
    );
    line.found.push(span);
    element.append(span);
    from = word.to;
  });
  element.append(...marked(shown, from, shown.length, finds));
  return line;
}

/** Parts of a text, those that were found within a <mark>. */
function marked(shown, from, to, finds) {
  if (to <= from) return [];
  const made = [];
  let at = from;
  for (const [a, b] of finds) {
    if (b <= at || a >= to) continue;
    if (a > at) made.push(shown.slice(at, a));
    made.push(h("mark", {}, shown.slice(Math.max(at, a), Math.min(b, to))));
    at = Math.min(b, to);
  }
  if (at < to) made.push(shown.slice(at, to));
  return made;
}
