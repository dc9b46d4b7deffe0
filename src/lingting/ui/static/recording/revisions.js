// Every state of the transcript: who, when, by which model; what is different; and the way back.

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { clock, number, when } from "../core/format.js";
import {
  badge,
  button,
  empty,
  field,
  guarded,
  problemBox,
  select,
  spinner,
  toast,
  toastProblem,
} from "../core/parts.js";
import { t } from "../core/words.js";
import { dressed, on } from "./beside.js";
import { blocks, differs } from "./diff.js";

const PAGE = 1000;
const SHOWN = 100;
/** So long at a time; then others have their turn. */
const SLICE_MS = 12;

export async function open(model, into) {
  await dressed();
  const panel = new Revisions(model, into);
  await panel.load();
  return () => panel.close();
}

class Revisions {
  constructor(model, into) {
    this.model = model;
    this.into = into;
    this.read = new Map();
    this.asked = 0;
    this.list = h("div", {}, spinner());
    this.between = h("div", { class: "lt-panels-between" });
    this.told = h("div", { "aria-live": "polite" });
    fill(into, this.list, this.between, this.told);
    // The page itself says which state is shown; another one that is saved belongs into the list.
    this.ends = [on(model, "revision", () => this.load())];
  }

  close() {
    this.asked += 1;
    for (const end of this.ends) end();
  }

  async load() {
    const asked = (this.loading = (this.loading || 0) + 1);
    try {
      if (!this.model.recording.revision) {
        fill(this.list, empty(t("panels.revisions.none"), t("panels.revisions.none.text")));
        return;
      }
      const { items } = await api.get(`/transcripts/${this.model.id}/revisions`);
      if (asked !== this.loading) return;
      this.items = [...items].sort((a, b) => b.number - a.number);
      this.draw();
    } catch (error) {
      if (asked === this.loading)
        fill(
          this.list,
          problemBox(error, () => {
            fill(this.list, spinner());
            this.load();
          }),
        );
    }
  }

  draw() {
    const { items } = this;
    const isOne = items.length < 2;
    const current = items.find((one) => one.is_current)?.number;
    fill(
      this.list,
      h(
        "ol",
        { class: "lt-panels-revisions" },
        items.map((one) => this.item(one, current)),
      ),
    );
    if (isOne) {
      fill(this.between, h("p", { class: "lt-hint" }, t("panels.revisions.one")));
      return;
    }
    const options = items.map((one) => [
      String(one.number),
      t("panels.revisions.option", { n: one.number, who: this.author(one) }),
    ]);
    const kept =
      this.chosen && items.some((one) => one.number === this.chosen[0])
        ? this.chosen
        : [items[1].number, items[0].number];
    const changedOne = () => {
      this.chosen = [Number(before.value), Number(after.value)];
      this.compare();
    };
    const before = select(options, { value: String(kept[0]), onchange: changedOne });
    const after = select(options, { value: String(kept[1]), onchange: changedOne });
    this.chosen = kept;
    fill(
      this.between,
      h("h3", {}, t("panels.revisions.compare")),
      h(
        "div",
        { class: "lt-panels-two" },
        field(t("panels.revisions.before"), before),
        field(t("panels.revisions.after"), after),
      ),
      button(t("panels.revisions.show"), changedOne, { glyph: "search" }),
    );
  }

  author(one) {
    return one.origin === "human"
      ? one.author || t("panels.revisions.somebody")
      : one.model || t("panels.revisions.machine");
  }

  item(one, current) {
    const isShown = one.number === this.model.revision;
    const how = one.restored_from
      ? t("panels.revisions.restored", { n: one.restored_from })
      : t(one.origin === "human" ? "panels.revisions.human" : "panels.revisions.made");
    return h(
      "li",
      { class: `lt-panels-revision${isShown ? " lt-on" : ""}` },
      h(
        "div",
        { class: "lt-row" },
        h("strong", {}, t("panels.revisions.n", { n: one.number })),
        one.is_current && badge(t("panels.revisions.current"), "good"),
        isShown && !one.is_current && badge(t("panels.revisions.shown"), "busy"),
      ),
      h("p", { class: "lt-small" }, how, " · ", this.author(one)),
      h(
        "p",
        { class: "lt-soft lt-small lt-number" },
        [
          when(one.created_at),
          t(one.segments === 1 ? "panels.revisions.segment" : "panels.revisions.segments", { n: number(one.segments) }),
        ].join(" · "),
      ),
      h(
        "div",
        { class: "lt-row" },
        !isShown
          && button(
            t(one.is_current ? "panels.revisions.back" : "panels.revisions.look"),
            (event) => guarded(event.currentTarget, () => this.model.show(one.is_current ? null : one.number)),
            { kind: "quiet" },
          ),
        one.number > 1 && button(t("panels.revisions.changes"), () => this.changes(one), { kind: "quiet" }),
        this.model.mayChange
          && !one.is_current
          && button(t("panels.revisions.restore"), (event) => this.restore(one.number, current, event.currentTarget), {
            glyph: "undo",
          }),
      ),
    );
  }

  /** What somebody changed: against the state before it. */
  changes(one) {
    const before = this.items.find((other) => other.number < one.number);
    if (!before) return;
    this.chosen = [before.number, one.number];
    this.draw();
    this.compare();
    this.told.scrollIntoView({ block: "nearest" });
  }

  async restore(number, current, control) {
    const isDone = await guarded(control, async () => {
      await this.model.restore(number);
      return true;
    });
    if (!isDone) return;
    toast(t("panels.revisions.isRestored", { n: number }), {
      action: { text: t("undo"), run: () => this.model.restore(current).catch(toastProblem) },
    });
  }

  /** The segments of a state, as they are read. */
  async segments(revision) {
    if (this.read.has(revision)) return this.read.get(revision);
    const found = [];
    let start = 0;
    do {
      const page = await api.get(`/transcripts/${this.model.id}/segments`, { revision, start, limit: PAGE });
      for (const { start_s, end_s, text, speaker } of page.items) found.push({ start_s, end_s, text, speaker });
      start = page.next;
    } while (start !== null);
    this.read.set(revision, found);
    return found;
  }

  async compare() {
    const [before, after] = this.chosen;
    const asked = ++this.asked;
    fill(this.told, spinner(t("panels.revisions.comparing")));
    try {
      const [a, b] = await Promise.all([this.segments(before), this.segments(after)]);
      const found = [];
      let began = performance.now();
      for (const block of blocks(a, b)) {
        const difference = differs(block);
        if (difference) found.push(difference);
        if (performance.now() - began < SLICE_MS) continue;
        await new Promise((resolve) => setTimeout(resolve));
        if (asked !== this.asked) return;
        began = performance.now();
      }
      if (asked === this.asked) this.drawDifferences(found);
    } catch (error) {
      if (asked === this.asked)
        fill(
          this.told,
          problemBox(error, () => this.compare()),
        );
    }
  }

  drawDifferences(found) {
    if (!found.length) {
      fill(this.told, h("p", { class: "lt-hint" }, t("panels.revisions.same")));
      return;
    }
    const list = h("ol", { class: "lt-panels-differences" });
    let at = 0;
    const more = button(
      t("panels.revisions.more"),
      () => {
        const focus = list.children.length;
        list.append(...found.slice(at, at + SHOWN).map((one) => this.difference(one)));
        at += SHOWN;
        if (at >= found.length) more.remove();
        if (focus) list.children[focus].querySelector("button").focus();
      },
      { kind: "quiet" },
    );
    fill(
      this.told,
      h(
        "p",
        { class: "lt-small" },
        t(found.length === 1 ? "panels.revisions.differs.one" : "panels.revisions.differs", {
          n: number(found.length),
        }),
      ),
      list,
      more,
    );
    more.click();
  }

  difference({ at_s, parts, voice, voiceWas }) {
    const pieces = parts.map(([kind, text]) =>
      kind === "same" ? shortened(text) : h(kind === "gone" ? "del" : "ins", {}, text),
    );
    return h(
      "li",
      {},
      h(
        "button",
        {
          type: "button",
          class: "lt-panels-time lt-number",
          "aria-label": t("panels.notes.jump", { time: clock(at_s) }),
          onclick: () => this.model.seek(at_s),
        },
        clock(at_s),
      ),
      h(
        "div",
        {},
        voiceWas !== null
          && h(
            "p",
            { class: "lt-small" },
            h("del", {}, voiceWas || t("panels.speakers.nobody")),
            " ",
            h("ins", {}, voice || t("panels.speakers.nobody")),
          ),
        h("p", { class: "lt-panels-said" }, pieces),
      ),
    );
  }
}

/** The middle of what is the same is of no interest. */
function shortened(text) {
  const chars = Array.from(text);
  return chars.length <= 60 ? text : `${chars.slice(0, 25).join("")} … ${chars.slice(-25).join("")}`;
}
