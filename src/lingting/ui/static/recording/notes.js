// Notes on the recording: at a moment, over a stretch, or about the whole of it.

import { api, pages } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { clock, when } from "../core/format.js";
import { button, confirmed, empty, field, guarded, problemBox, spinner, toast, toastProblem } from "../core/parts.js";
import { t } from "../core/words.js";
import { dressed, on } from "./beside.js";

const MOST_CHARS = 10_000;

async function read(model) {
  const notes = [];
  for await (const page of pages(`/recordings/${model.id}/notes`, { limit: 500 })) notes.push(...page.items);
  return notes;
}

const draw = (model, notes) =>
  model.marks(
    notes.filter((one) => one.at_s !== null).map(({ id, at_s, end_s, text }) => ({ id, at_s, end_s, label: text })),
  );

/** Draw the notes on the waveform; for a page on which the panel was not opened. */
export async function marks(model) {
  draw(model, await read(model));
}

export async function open(model, into, wish = {}) {
  await dressed();
  const panel = new NotesPanel(model, into);
  await panel.load();
  panel.wish(wish);
  const close = () => panel.close();
  close.wish = (given) => panel.wish(given);
  return close;
}

const byTime = (a, b) => (a.at_s ?? -1) - (b.at_s ?? -1) || a.created_at.localeCompare(b.created_at);

class NotesPanel {
  constructor(model, into) {
    this.model = model;
    this.notes = [];
    this.at = null;
    this.text = h("textarea", { maxlength: MOST_CHARS, rows: 3, value: model.unsentNote || "" });
    this.where = h("select", {});
    this.form = h(
      "form",
      {
        class: "lt-panels-newNote",
        onsubmit: (event) => {
          event.preventDefault();
          this.add();
        },
      },
      field(t("panels.notes.text"), this.text),
      field(t("panels.notes.where"), this.where),
      (this.save = button(t("panels.notes.add"), null, { kind: "primary", type: "submit", glyph: "plus" })),
    );
    this.text.addEventListener("focus", () => {
      if (!this.text.value) this.place();
    });
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.add();
      }
    });
    this.list = h("div", {}, spinner());
    fill(into, this.form, this.list);
    this.place();
    this.ends = [
      on(model, "mark", ({ id }) => this.light(id)),
      on(model, "time", () => {
        if (!this.text.value && document.activeElement !== this.where) this.place();
      }),
      on(model, "recording", () => this.lock()),
    ];
    this.lock();
  }

  close() {
    this.model.unsentNote = this.text.value;
    for (const end of this.ends) end();
  }

  /** Notes may be written about an earlier revision too: they are about the audio. */
  lock() {
    this.isLocked = !this.model.mayChange;
    this.form.hidden = this.isLocked;
  }

  wish({ at_s = null, end_s = null, id = null }) {
    if (id) {
      this.light(id);
      return;
    }
    if (at_s !== null) this.place(at_s, end_s);
    if (!this.isLocked) this.text.focus();
  }

  /** The new note is about now, or a stretch that was chosen. */
  place(at_s = this.model.time, end_s = null) {
    const now = Math.floor(at_s * 10) / 10;
    if (this.at?.at_s === now && this.at.end_s === end_s && this.where.children.length) return;
    const isWhole = this.where.value === "whole";
    this.at = { at_s: now, end_s };
    fill(
      this.where,
      h(
        "option",
        { value: "now" },
        end_s === null
          ? t("panels.notes.at", { time: clock(now, { tenths: true }) })
          : t("panels.notes.stretch", { from: clock(now), to: clock(end_s) }),
      ),
      h("option", { value: "whole" }, t("panels.notes.whole")),
    );
    this.where.value = isWhole ? "whole" : "now";
  }

  async load() {
    try {
      this.notes = await read(this.model);
      this.draw();
    } catch (error) {
      fill(
        this.list,
        problemBox(error, () => {
          fill(this.list, spinner());
          this.load();
        }),
      );
    }
  }

  async add() {
    const text = this.text.value.trim();
    if (!text) {
      this.text.focus();
      return;
    }
    if (this.save.disabled) return; // it is on its way
    const made = await guarded(this.save, () =>
      api.post(`/recordings/${this.model.id}/notes`, { text, ...(this.where.value === "now" ? this.at : {}) }),
    );
    if (!made) return;
    if (this.text.value.trim() === text) this.text.value = "";
    this.notes.push(made);
    this.draw();
    this.light(made.id);
  }

  draw() {
    draw(this.model, this.notes);
    this.notes.sort(byTime);
    if (!this.notes.length) {
      fill(
        this.list,
        empty(t("panels.notes.none"), t(this.isLocked ? "panels.notes.none.locked" : "panels.notes.none.text")),
      );
      return;
    }
    fill(
      this.list,
      h(
        "ol",
        { class: "lt-panels-notes" },
        this.notes.map((note) => this.item(note)),
      ),
    );
  }

  item(note) {
    const made = h("li", { class: "lt-panels-note", dataset: { note: note.id }, tabindex: -1 });
    const place =
      note.at_s === null
        ? t("panels.notes.whole")
        : note.end_s === null
          ? clock(note.at_s)
          : `${clock(note.at_s)} – ${clock(note.end_s)}`;
    fill(
      made,
      h(
        "div",
        { class: "lt-row" },
        note.at_s === null
          ? h("span", { class: "lt-soft lt-grow" }, place)
          : h(
              "span",
              { class: "lt-grow" },
              h(
                "button",
                {
                  type: "button",
                  class: "lt-panels-time lt-number",
                  "aria-label": t("panels.notes.jump", { time: place }),
                  onclick: () => this.model.seek(note.at_s),
                },
                place,
              ),
            ),
        !this.isLocked && [
          button(null, () => this.edit(note, made), { kind: "quiet", label: t("panels.notes.edit"), glyph: "edit" }),
          button(null, (event) => this.remove(note, event.currentTarget), {
            kind: "quiet",
            label: t("panels.notes.delete"),
            glyph: "trash",
          }),
        ],
      ),
      h("p", { class: "lt-panels-said" }, note.text),
      h(
        "p",
        { class: "lt-soft lt-small" },
        [note.author, when(note.changed_at), note.revision > 1 && t("panels.notes.changed")]
          .filter(Boolean)
          .join(" · "),
      ),
    );
    return made;
  }

  edit(note, made) {
    const text = h("textarea", { maxlength: MOST_CHARS, rows: 4, value: note.text });
    const yes = button(t("save"), null, { kind: "primary", type: "submit" });
    const theirs = h("div", { role: "status" });
    const back = () => made.replaceWith(this.item(note));
    const form = h(
      "form",
      {
        onsubmit: async (event) => {
          event.preventDefault();
          if (!text.value.trim()) return;
          try {
            yes.disabled = true;
            const now = await api.patch(`/recordings/${this.model.id}/notes/${note.id}`, {
              based_on: note.revision,
              text: text.value.trim(),
            });
            this.notes = this.notes.map((one) => (one.id === note.id ? now : one));
            this.draw();
            this.light(note.id);
          } catch (error) {
            toastProblem(error);
            yes.disabled = false;
            // What somebody else wrote is shown; what was typed stays to be saved on top of it.
            if (error.status !== 409) return;
            note = await api.get(`/recordings/${this.model.id}/notes/${note.id}`).catch(() => note);
            fill(
              theirs,
              h("p", { class: "lt-hint" }, t("panels.notes.theirs")),
              h("p", { class: "lt-panels-said" }, note.text),
            );
          }
        },
      },
      field(t("panels.notes.text"), text),
      theirs,
      h("div", { class: "lt-row" }, yes, button(t("cancel"), back)),
    );
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        back();
      }
    });
    fill(made, form);
    text.focus();
  }

  /** It is gone at once; whoever wrote it gets it back by writing it again. */
  async remove(note, control) {
    const isMine = note.author === this.model.me?.user;
    if (
      !isMine
      && !(await confirmed(
        t("panels.notes.delete.title"),
        t("panels.notes.delete.text", { author: note.author || "–" }),
        { yes: t("delete"), danger: true },
      ))
    )
      return;
    const gone = await guarded(control, () => api.delete(`/recordings/${this.model.id}/notes/${note.id}`));
    if (!gone) return;
    this.notes = this.notes.filter((one) => one.id !== note.id);
    this.draw();
    toast(t("panels.notes.deleted"), {
      action: isMine && {
        text: t("undo"),
        run: async () => {
          try {
            const { text, at_s, end_s } = gone;
            this.notes.push(await api.post(`/recordings/${this.model.id}/notes`, { text, at_s, end_s }));
            this.draw();
          } catch (error) {
            toastProblem(error);
          }
        },
      },
    });
  }

  light(id) {
    const found = this.list.querySelector(`[data-note="${CSS.escape(id)}"]`);
    if (!found) return;
    for (const one of this.list.querySelectorAll(".lt-on")) one.classList.remove("lt-on");
    found.classList.add("lt-on");
    found.scrollIntoView({ block: "nearest" });
  }
}
