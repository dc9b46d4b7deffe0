// The transcript as a file in every format, or as text to paste elsewhere.

import { api, ask } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { FORMATS, download } from "../core/download.js";
import { button, copy, empty, field, guarded, select, toggle } from "../core/parts.js";
import { t } from "../core/words.js";
import { dressed, on } from "./beside.js";

export async function open(model, into) {
  await dressed();
  const words = toggle(t("panels.exports.words"), { hint: t("panels.exports.words.hint") });
  const which = select([]);
  const chosen = field(t("panels.exports.which"), which);
  const say = h("p", { class: "lt-hint", role: "status" });

  /** The file, with what was typed last in it. */
  const asked = async (format, query) => {
    if (!which.value) await model.saved();
    return [`/exports/${model.id}/${format}`, { query: { revision: which.value, ...query } }];
  };

  const down = async (format, control) => {
    fill(say, t("panels.exports.making"));
    const isTimed = words.querySelector("input").checked;
    await guarded(control, async () => download(...(await asked(format, { words: isTimed || null }))));
    fill(say);
  };

  const copying = (format, key) =>
    button(
      t(key),
      (event) =>
        guarded(event.currentTarget, async () => copy(await (await ask("GET", ...(await asked(format)))).text())),
      { glyph: "copy" },
    );

  const versions = async (shown) => {
    const { items } = await api.get(`/transcripts/${model.id}/revisions`);
    fill(
      which,
      h("option", { value: "" }, t("panels.exports.current")),
      items
        .filter((one) => !one.is_current)
        .sort((a, b) => b.number - a.number)
        .map((one) => h("option", { value: one.number }, t("panels.revisions.n", { n: one.number }))),
    );
    which.value = shown;
    if (which.selectedIndex < 0) which.value = "";
    chosen.hidden = items.length < 2;
  };

  const draw = async () => {
    if (!model.recording.revision) {
      fill(into, empty(t("panels.revisions.none"), t("panels.revisions.none.text")));
      return;
    }
    fill(
      into,
      h("h3", {}, t("panels.exports.copy")),
      h(
        "div",
        { class: "lt-row lt-panels-copies" },
        copying("txt", "panels.exports.copy.text"),
        copying("md", "panels.exports.copy.speakers"),
      ),
      h("h3", {}, t("panels.exports.files")),
      chosen,
      words,
      h(
        "ul",
        { class: "lt-panels-formats" },
        FORMATS.map(([format, name]) =>
          h(
            "li",
            {},
            button(name, (event) => down(format, event.currentTarget), { glyph: "download" }),
            h("p", { class: "lt-hint" }, t(`panels.exports.${format}.hint`)),
          ),
        ),
      ),
      say,
    );
    await versions(model.isCurrent ? "" : String(model.revision));
  };

  await draw();
  return on(model, "revision", () => (chosen.isConnected ? versions(which.value) : draw()).catch(() => {}));
}
