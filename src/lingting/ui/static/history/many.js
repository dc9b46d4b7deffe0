// What is done with many recordings at once. What can be taken back is done at once and offers that.

import { ApiError, api, ask } from "../core/api.js";
import { fill, h, newId } from "../core/dom.js";
import { button, confirmed, dialog, field, guarded, problem, save, toast, toastProblem, toggle } from "../core/parts.js";
import { t } from "../core/words.js";

const AT_ONCE = 500;
export const FORMATS = ["txt", "srt", "vtt", "docx", "md", "csv", "json"];

/** `done` ids, and how many were refused with the first reason. */
export async function inBulk(action, ids, tags) {
  const done = [], refused = [];
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const recordings = ids.slice(at, at + AT_ONCE);
    const { items } = await api.post("/recordings/bulk", { action, recordings, ...(tags && { tags }) });
    for (const one of items) (one.is_done ? done : refused).push(one);
  }
  if (refused.length) {
    const first = new ApiError(400, refused[0].error);
    toast(t("recordings.refused", { n: refused.length, why: problem(first) }), { kind: "error" });
  }
  return done.map((one) => one.id);
}

const counted = (key, n) => t(n === 1 ? `${key}.one` : key, { n });

/** Out of the history, with a way back. `after(ids)` and `back(ids)` change the page. */
export async function remove(ids, { after, back }) {
  const done = await inBulk("delete", ids);
  if (!done.length) return;
  after(done);
  toast(counted("recordings.deleted", done.length), { action: { text: t("undo"), run: () => restored(done, { after: back }).catch(toastProblem) } });
}

export async function restored(ids, { after }) {
  const done = await inBulk("undo", ids);
  if (!done.length) return;
  after(done);
  toast(counted("recordings.restored", done.length));
}

/** For good, when it was agreed to; one after another, since each gives a receipt. */
export async function purge(ids, { after }) {
  const isSure = await confirmed(counted("recordings.purge.title", ids.length), t("recordings.purge.text"), { yes: t("recordings.purge.yes"), danger: true });
  if (!isSure) return;
  const done = [];
  try {
    for (const id of ids) { await api.post(`/recordings/${id}/purge`); done.push(id); }
  } finally {
    if (done.length) { after(done); toast(counted("recordings.purged", done.length)); }
  }
}

/** Ask for tags and add them to all of `items`; `after(ids, tags)` changes the page. */
export async function tag(items, known, { after }) {
  const wanted = await askTags(t("recordings.tag.title"), t("recordings.tag.yes"), known, "");
  if (!wanted) return;
  const done = await inBulk("tag", items.map((item) => item.id), wanted);
  if (!done.length) return;
  const before = new Map(items.map((item) => [item.id, item.tags]));
  after(done, (tags) => [...new Set([...tags, ...wanted])].sort());
  toast(counted("recordings.tagged", done.length), { action: { text: t("undo"), run: async () => {
    try {
      for (const one of wanted) {
        const added = done.filter((id) => !before.get(id).includes(one));
        if (added.length) await inBulk("untag", added, [one]);
      }
      after(done, (tags, id) => before.get(id));
    } catch (error) { toastProblem(error); }
  } } });
}

/** Take away some of the tags that `items` have. */
export async function untag(items, { after }) {
  const there = [...new Set(items.flatMap((item) => item.tags))].sort();
  if (!there.length) return void toast(t("recordings.untag.none"));
  const wanted = await chosenOf(there);
  if (!wanted?.length) return;
  const before = new Map(items.map((item) => [item.id, item.tags]));
  const ids = items.filter((item) => item.tags.some((one) => wanted.includes(one))).map((item) => item.id);
  const done = await inBulk("untag", ids, wanted);
  after(done, (tags) => tags.filter((one) => !wanted.includes(one)));
  toast(counted("recordings.untagged", done.length), { action: { text: t("undo"), run: async () => {
    try {
      for (const one of wanted) {
        const had = done.filter((id) => before.get(id).includes(one));
        if (had.length) await inBulk("tag", had, [one]);
      }
      after(done, (tags, id) => before.get(id));
    } catch (error) { toastProblem(error); }
  } } });
}

const split = (text) => [...new Set(text.split(/[,，;；\n]/).map((one) => one.trim()).filter(Boolean))];

function askTags(title, yes, known, value) {
  return dialog(title, (close) => {
    const listId = newId();
    const input = h("input", { type: "text", value, list: listId, autocomplete: "off", autofocus: true, maxlength: 1000 });
    const send = () => { const found = split(input.value); if (found.length) close(found); else input.focus(); };
    return h("form", { onsubmit: (event) => { event.preventDefault(); send(); } },
      field(t("recordings.tags"), input, { hint: t("recordings.tags.hint") }),
      h("datalist", { id: listId }, known.map((one) => h("option", { value: one }))),
      h("footer", {}, button(t("cancel"), () => close()), button(yes, null, { kind: "primary", type: "submit" })));
  });
}

function chosenOf(tags) {
  return dialog(t("recordings.untag.title"), (close) => {
    const boxes = tags.map((one) => h("input", { type: "checkbox", value: one, checked: tags.length === 1 }));
    return h("form", { onsubmit: (event) => { event.preventDefault(); close(boxes.filter((box) => box.checked).map((box) => box.value)); } },
      h("div", { class: "lt-recordings-choices" }, boxes.map((box, at) => h("label", { class: "lt-recordings-check" }, box, tags[at]))),
      h("footer", {}, button(t("cancel"), () => close()), button(t("recordings.untag.yes"), null, { kind: "primary", type: "submit" })));
  });
}

export function rename(item, { after }) {
  return dialog(t("recordings.rename.title"), (close) => {
    const input = h("input", { type: "text", value: item.name, required: true, maxlength: 1000, autofocus: true });
    const yes = button(t("save"), null, { kind: "primary", type: "submit" });
    return h("form", { onsubmit: async (event) => {
      event.preventDefault();
      const found = await guarded(yes, () => api.patch(`/recordings/${item.id}`, { name: input.value.trim() }));
      if (found) { close(); after(found); }
    } }, field(t("recordings.name"), input), h("footer", {}, button(t("cancel"), () => close()), yes));
  });
}

/** Formats are chosen, and a ZIP of all comes down. */
export function exported(ids) {
  return dialog(t(ids.length === 1 ? "recordings.export.title.one" : "recordings.export.title", { n: ids.length }), (close) => {
    const chosen = (localStorage.getItem("lingting.formats") || "docx").split(",");
    const boxes = FORMATS.map((name) => h("input", { type: "checkbox", value: name, checked: chosen.includes(name) }));
    const words = toggle(t("recordings.export.words"), { hint: t("recordings.export.words.hint") });
    const say = h("p", { class: "lt-hint", role: "status" });
    const yes = button(t("recordings.export.yes"), null, { kind: "primary", type: "submit", glyph: "download" });
    return h("form", { onsubmit: async (event) => {
      event.preventDefault();
      const formats = boxes.filter((box) => box.checked).map((box) => box.value);
      if (!formats.length) { fill(say, t("recordings.export.none")); return; }
      localStorage.setItem("lingting.formats", formats.join(","));
      fill(say, t("recordings.export.making"));
      const found = await guarded(yes, async () => {
        const answer = await ask("POST", "/exports", { body: { recordings: ids, formats, words: words.querySelector("input").checked } });
        return answer.blob();
      });
      fill(say);
      if (found) { save("transcripts.zip", found, "application/zip"); close(); }
    } },
    h("fieldset", { class: "lt-recordings-choices" }, h("legend", { class: "lt-legend" }, t("recordings.export.formats")),
      boxes.map((box) => h("label", { class: "lt-recordings-check" }, box, t(`recordings.format.${box.value}`)))),
    words, say,
    h("footer", {}, button(t("cancel"), () => close()), yes));
  });
}
