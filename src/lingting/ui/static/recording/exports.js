// The transcript as a file in every format, or as text to paste elsewhere.

import { api, ask } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { button, copy, empty, field, guarded, save, select, toggle } from "../core/parts.js";
import { t } from "../core/words.js";
import { dressed, on } from "./beside.js";

/** As `lingting.text.writers.FORMATS`; those that have a place for the time of a word. */
export const FORMATS = [["docx", false], ["txt", false], ["md", false], ["srt", false], ["vtt", true], ["csv", false], ["json", true]];

export async function open(model, into) {
  await dressed();
  const words = toggle(t("panels.exports.words"), { hint: t("panels.exports.words.hint") });
  const which = select([]);
  const chosen = field(t("panels.exports.which"), which);
  const say = h("p", { class: "lt-hint", role: "status" });

  const draw = async () => {
    if (!model.recording?.revision && !model.total) { fill(into, empty(t("panels.revisions.none"), t("panels.revisions.none.text"))); return; }
    fill(into,
      h("h3", {}, t("panels.exports.copy")),
      h("div", { class: "lt-row lt-panels-copies" }, copying("txt", "panels.exports.copy.text"), copying("md", "panels.exports.copy.speakers")),
      h("h3", {}, t("panels.exports.files")), chosen, words,
      h("ul", { class: "lt-panels-formats" }, FORMATS.map(([format]) => h("li", {}, button(t(`panels.exports.${format}`), (event) => down(format, event.currentTarget), { glyph: "download" }), h("p", { class: "lt-hint" }, t(`panels.exports.${format}.hint`))))),
      say);
    const kept = which.value;
    const { items } = await api.get(`/transcripts/${model.id}/revisions`);
    fill(which, h("option", { value: "" }, t("panels.exports.current")), items.filter((one) => !one.is_current).sort((a, b) => b.number - a.number)
      .map((one) => h("option", { value: one.number }, t("panels.revisions.n", { n: one.number }))));
    which.value = kept || (model.revision && model.revision !== model.current ? String(model.revision) : "");
    if (which.selectedIndex < 0) which.value = "";
    chosen.hidden = items.length < 2;
  };

  /** The file; what was typed last is in it. */
  const made = async (format, query = {}) => {
    if (!which.value && !await model.flush()) throw Object.assign(new Error(t("panels.exports.unsaved")), { code: "unsaved" });
    return ask("GET", `/exports/${model.id}/${format}`, { query: { revision: which.value, ...query } });
  };

  const down = async (format, control) => {
    fill(say, t("panels.exports.making"));
    await guarded(control, async () => {
      const isWords = words.querySelector("input").checked;
      const answer = await made(format, { words: isWords || null });
      save(nameOf(answer) || `transcript.${format}`, await answer.blob(), answer.headers.get("Content-Type") || "");
    });
    fill(say);
  };

  const copying = (format, key) => button(t(key), (event) => guarded(event.currentTarget, async () => copy(await (await made(format)).text())), { glyph: "copy" });

  await draw();
  const end = on(model, "revision", () => draw().catch(() => {}));
  return end;
}

/** The name that the service gives the file. */
function nameOf(answer) {
  const told = answer.headers.get("Content-Disposition") || "";
  const found = /filename\*=UTF-8''([^;]+)/i.exec(told);
  if (found) { try { return decodeURIComponent(found[1]); } catch { /* as it is told plainly */ } }
  return /filename="([^"]+)"/.exec(told)?.[1] || null;
}
