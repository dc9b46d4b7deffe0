// What is done with many recordings at once. What can be taken back is done at once and offers that.

import { ApiError, api } from "../core/api.js";
import { h, newId } from "../core/dom.js";
import { FORMATS, download } from "../core/download.js";
import { number } from "../core/format.js";
import { formDialog } from "../core/forms.js";
import { confirmed, field, problem, toast, toastProblem, toggle } from "../core/parts.js";
import { t } from "../core/words.js";

const AT_ONCE = 500;
const KEPT = "lingting.formats";

/** The ids with which it was done; why others were refused, and what ended it midway, is told here. */
async function inBulk(action, ids, tags) {
  const done = [];
  const refused = [];
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const recordings = ids.slice(at, at + AT_ONCE);
    try {
      const { items } = await api.post("/recordings/bulk", { action, recordings, ...(tags && { tags }) });
      for (const one of items) (one.is_done ? done : refused).push(one);
    } catch (error) {
      toastProblem(error);
      break;
    }
  }
  if (refused.length) {
    const first = new ApiError(400, refused[0].error);
    toast(t("recordings.refused", { n: number(refused.length), why: problem(first) }), { kind: "error" });
  }
  return done.map((one) => one.id);
}

const counted = (key, n) => t(n === 1 ? `${key}.one` : key, { n: number(n) });

/** Out of the history, with a way back. `after(ids)` and `back(ids)` change the page. */
export async function remove(ids, { after, back }) {
  const done = await inBulk("delete", ids);
  if (!done.length) return;
  after(done);
  toast(counted("recordings.deleted", done.length), {
    action: { text: t("undo"), run: () => restored(done, { after: back }) },
  });
}

export async function restored(ids, { after }) {
  const done = await inBulk("undo", ids);
  if (!done.length) return;
  after(done);
  toast(counted("recordings.restored", done.length));
}

/** For good, when it was agreed to; one after another, since each gives a receipt. */
export async function purge(ids, { after }) {
  const isSure = await confirmed(counted("recordings.purge.title", ids.length), t("recordings.purge.text"), {
    yes: t("recordings.purge.yes"),
    danger: true,
  });
  if (!isSure) return;
  const done = [];
  try {
    for (const id of ids) {
      await api.post(`/recordings/${id}/purge`);
      done.push(id);
    }
  } finally {
    if (done.length) {
      after(done);
      toast(counted("recordings.purged", done.length));
    }
  }
}

/** Ask for tags and add them to all of `items`; `after(ids, tags)` changes the page. */
export async function tag(items, known, { after }) {
  const wanted = await askTags(known);
  if (!wanted?.length) return;
  const done = await inBulk(
    "tag",
    items.map((item) => item.id),
    wanted,
  );
  if (!done.length) return;
  const before = new Map(items.map((item) => [item.id, item.tags]));
  after(done, (tags) => [...new Set([...tags, ...wanted])].sort());
  toast(counted("recordings.tagged", done.length), {
    action: {
      text: t("undo"),
      run: async () => {
        for (const one of wanted) {
          const added = done.filter((id) => !before.get(id).includes(one));
          after(await inBulk("untag", added, [one]), (tags) => tags.filter((tag) => tag !== one));
        }
      },
    },
  });
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
  if (!done.length) return;
  after(done, (tags) => tags.filter((one) => !wanted.includes(one)));
  toast(counted("recordings.untagged", done.length), {
    action: {
      text: t("undo"),
      run: async () => {
        for (const one of wanted) {
          const had = done.filter((id) => before.get(id).includes(one));
          after(await inBulk("tag", had, [one]), (tags) => [...tags, one].sort());
        }
      },
    },
  });
}

const split = (text) => [
  ...new Set(
    text
      .split(/[,，;；\n]/)
      .map((one) => one.trim())
      .filter(Boolean),
  ),
];

function askTags(known) {
  const listId = newId();
  const input = h("input", {
    type: "text",
    list: listId,
    autocomplete: "off",
    autofocus: true,
    required: true,
    maxlength: 1000,
  });
  return formDialog(
    t("recordings.tag"),
    [
      field(t("recordings.tags"), input, { hint: t("recordings.tags.hint") }),
      h(
        "datalist",
        { id: listId },
        known.map((one) => h("option", { value: one })),
      ),
    ],
    { yes: t("recordings.tag.yes"), send: () => split(input.value) },
  );
}

/** Boxes of which any may be ticked; `values()` are those that are. */
function choices(options, chosen, legend = null) {
  const boxes = options.map(([value]) => h("input", { type: "checkbox", value, checked: chosen.includes(value) }));
  const element = h(
    "fieldset",
    { class: "lt-recordings-choices" },
    legend && h("legend", { class: "lt-legend" }, legend),
    boxes.map((box, at) => h("label", { class: "lt-recordings-check" }, box, options[at][1])),
  );
  return { element, values: () => boxes.filter((box) => box.checked).map((box) => box.value) };
}

function chosenOf(tags) {
  const { element, values } = choices(
    tags.map((one) => [one, one]),
    tags.length === 1 ? tags : [],
  );
  return formDialog(t("recordings.untag"), element, { yes: t("recordings.untag.yes"), send: values });
}

export async function rename(item, { after }) {
  const input = h("input", { type: "text", value: item.name, required: true, maxlength: 1000, autofocus: true });
  const now = await formDialog(t("recordings.rename.title"), field(t("recordings.name"), input), {
    send: () => api.patch(`/recordings/${item.id}`, { name: input.value.trim() }),
  });
  if (now) after(now);
}

/** Formats are chosen, and a ZIP of all comes down; not when it is closed before. */
export async function exported(ids) {
  const { element, values } = choices(
    FORMATS,
    (localStorage.getItem(KEPT) || "docx").split(","),
    t("recordings.export.formats"),
  );
  const words = toggle(t("recordings.export.words"), { hint: t("recordings.export.words.hint") });
  const stop = new AbortController();
  const send = async () => {
    const formats = values();
    if (!formats.length) throw new ApiError(400, { code: "none", message: t("recordings.export.none") });
    localStorage.setItem(KEPT, formats.join(","));
    await download("/exports", {
      body: { recordings: ids, formats, words: words.querySelector("input").checked },
      signal: stop.signal,
    });
  };
  await formDialog(
    t(ids.length === 1 ? "recordings.export.title.one" : "recordings.export.title", { n: number(ids.length) }),
    [element, words],
    { yes: t("recordings.export.yes"), busy: t("recordings.export.making"), send, closed: () => stop.abort() },
  );
}
