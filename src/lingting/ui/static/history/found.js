// What a search finds: recordings with their best places, each a link to its second.

import { fill, h } from "../core/dom.js";
import { clock, day } from "../core/format.js";
import { button } from "../core/parts.js";
import { t } from "../core/words.js";
import { linkTo } from "./row.js";

const FIRST = 3;

/** A text with `places` marked; they count code points. */
function marked(text, places) {
  const chars = Array.from(text);
  const pieces = [];
  let at = 0;
  for (const { start, end } of places) {
    if (start < at) continue;
    pieces.push(chars.slice(at, start).join(""), h("mark", {}, chars.slice(start, end).join("")));
    at = end;
  }
  return [...pieces, chars.slice(at).join("")];
}

/** Recordings that are found by their name. */
export const namedCard = (recordings) =>
  h(
    "section",
    { class: "lt-card lt-recordings-found" },
    h("h2", {}, t("recordings.named")),
    h("ul", { class: "lt-recordings-hits" }, recordings.map(namedRow)),
  );

const factsOf = ({ duration_s, created_at, owner }) => [clock(duration_s), day(created_at), owner];
const inOneLine = (facts) => facts.filter(Boolean).join(" · ");

function namedRow(recording) {
  return h(
    "li",
    {},
    h(
      "a",
      { href: linkTo(recording.id), class: "lt-recordings-said" },
      h("span", { dir: "auto" }, recording.name),
      h("span", { class: "lt-soft lt-small" }, inOneLine(factsOf(recording))),
    ),
  );
}

/** One recording with its hits. */
export function foundCard({ recording, hits, count, is_count_capped: isCapped }) {
  const list = h("ol", { class: "lt-recordings-hits" });
  const rest = hits.slice(FIRST);
  const more =
    rest.length > 0
    && button(
      t("recordings.moreHits", { n: rest.length }),
      () => {
        const first = list.children.length;
        list.append(...rest.map((hit) => hitOf(recording, hit)));
        more.remove();
        list.children[first].querySelector("a").focus();
      },
      { kind: "quiet" },
    );
  fill(
    list,
    hits.slice(0, FIRST).map((hit) => hitOf(recording, hit)),
  );
  const told = t(count === 1 ? "recordings.hit" : "recordings.hits", { n: `${count}${isCapped ? "+" : ""}` });
  return h(
    "article",
    { class: "lt-card lt-recordings-found" },
    h(
      "header",
      {},
      h("h2", {}, h("a", { href: linkTo(recording.id), dir: "auto" }, recording.name)),
      h("p", { class: "lt-soft lt-small" }, inOneLine([told, ...factsOf(recording)])),
    ),
    list,
    more,
  );
}

function hitOf(recording, hit) {
  const at = hit.at_s ?? hit.start_s;
  return h(
    "li",
    {},
    h(
      "a",
      { href: linkTo(recording.id, { t: Math.round(at * 100) / 100, segment: hit.position }) },
      h("span", { class: "lt-recordings-at lt-number" }, clock(at)),
      h(
        "span",
        { class: "lt-recordings-said" },
        hit.speaker && h("span", { class: "lt-recordings-who" }, hit.speaker),
        h("span", { dir: "auto" }, marked(hit.text, hit.places)),
      ),
    ),
  );
}
