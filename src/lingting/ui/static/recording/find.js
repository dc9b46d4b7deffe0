// Find and replace. Every match is lit in the transcript; replacing is one step that can be undone.

import { debounced, fill, h } from "../core/dom.js";
import { number } from "../core/format.js";
import { button, field, guarded, problem, toast } from "../core/parts.js";
import { t } from "../core/words.js";
import { changed, dressed, on } from "./beside.js";

const MOST_MS = 2000;
const MOST_CHARS = 20_000;

export async function open(model, into, wish = {}) {
  await dressed();
  const panel = new Find(model, into);
  panel.wish(wish);
  const close = () => panel.close();
  close.wish = (given) => panel.wish(given);
  return close;
}

class Find {
  constructor(model, into) {
    this.model = model;
    this.found = [];
    this.at = -1;
    this.asked = 0;
    const soon = (this.soon = debounced(() => this.look(), 200));
    const again = (this.again = debounced(() => this.look({ isQuiet: true }), 500));
    const box = () => h("input", { type: "checkbox", onchange: () => this.look() });
    this.text = h("input", { type: "text", maxlength: 500, autocomplete: "off", spellcheck: "false", oninput: soon });
    this.instead = h("input", { type: "text", maxlength: 1000, autocomplete: "off", oninput: soon });
    this.boxes = { isCase: box(), isWord: box(), isPattern: box() };
    this.told = h("p", { class: "lt-hint lt-panels-told", role: "status" });
    this.before = button(null, () => this.go(-1), { kind: "quiet", label: t("panels.find.before"), glyph: "back" });
    this.next = button(null, () => this.go(1), { kind: "quiet", label: t("panels.find.next"), glyph: "next" });
    this.one = button(t("panels.find.one"), () => this.replaceOne());
    this.all = button(t("panels.find.all"), () => this.replaceAll());
    this.text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      this.go(event.shiftKey ? -1 : 1);
    });
    this.instead.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      this.replaceOne();
    });
    const check = (name) => h("label", { class: "lt-panels-check" }, this.boxes[name], t(`panels.find.${name}`));
    fill(
      into,
      field(t("panels.find.text"), this.text),
      h("div", { class: "lt-panels-checks" }, check("isCase"), check("isWord"), check("isPattern")),
      h("div", { class: "lt-row lt-panels-steps" }, this.told, this.before, this.next),
      (this.replacing = h(
        "div",
        {},
        field(t("panels.find.instead"), this.instead),
        h("div", { class: "lt-row" }, this.one, this.all),
      )),
      (this.locked = h("p", { class: "lt-note" }, t("panels.readOnly"))),
    );
    this.ends = [
      on(model, "changed", (detail) => {
        if (!detail.isLoaded) {
          this.looked = null;
          again();
        }
      }),
      on(model, "revision", () => {
        this.lock();
        again();
      }),
      () => soon.cancel(),
      () => again.cancel(),
    ];
    this.lock();
    this.draw();
    if (model.layer !== "written") model.setLayer("written");
  }

  wish({ text }) {
    const chosen = text || getSelection().toString();
    if (chosen && chosen.length < 200 && !chosen.includes("\n")) {
      this.text.value = chosen;
      this.look();
    }
    this.text.focus();
    this.text.select();
  }

  lock() {
    this.replacing.hidden = this.model.isReadOnly;
    this.locked.hidden = !this.model.isReadOnly;
  }

  close() {
    this.asked += 1;
    this.giveUp?.();
    for (const end of this.ends) end();
    this.model.highlight(null);
  }

  /** Look for it again; `isQuiet` leaves the transcript where it is. */
  async look({ isQuiet = false } = {}) {
    this.soon.cancel();
    this.again.cancel();
    const asked = ++this.asked;
    const looked = (this.looked = this.wanted());
    let answer = { found: [], isCapped: false };
    let why = null;
    if (this.text.value) {
      fill(this.told, t("panels.find.looking"));
      try {
        const segments = await this.model.all();
        if (asked !== this.asked) return;
        const wish = {
          text: this.text.value,
          ...Object.fromEntries(Object.entries(this.boxes).map(([name, box]) => [name, box.checked])),
        };
        answer = await this.ask({
          texts: Array.from(segments, (one) => one?.text || ""),
          wish,
          instead: this.instead.value,
        });
      } catch (error) {
        why = error.why || problem(error);
      }
      if (asked !== this.asked) return;
    }
    const before = this.found[this.at];
    this.problem = why;
    this.found = answer.found;
    this.foundBy = looked;
    this.isCapped = answer.isCapped;
    this.at = before ? this.from(before[0], before[1]) : this.from(this.model.selection ?? 0, 0);
    this.light();
    this.draw();
    if (this.found.length && !isQuiet) this.show();
  }

  /** What is to be found and put in its place, to know whether it was looked for. */
  wanted() {
    return JSON.stringify([
      this.text.value,
      this.instead.value,
      ...Object.values(this.boxes).map((box) => box.checked),
    ]);
  }

  /** What was typed a moment ago counts, here and in the transcript; whether the places are right now. */
  async fresh() {
    if (this.looked !== this.wanted() || this.foundBy !== this.looked) await this.look({ isQuiet: true });
    return this.looked === this.wanted() && this.foundBy === this.looked && !this.model.isReadOnly;
  }

  /** The first match there or behind it; from the beginning again at the end. */
  from(position, offset) {
    if (!this.found.length) return -1;
    const at = this.found.findIndex(([where, start]) => where > position || (where === position && start >= offset));
    return at < 0 ? 0 : at;
  }

  /** Each question has a worker, so that no answer is taken for another one's; the one before is given up. */
  ask(question) {
    this.giveUp?.();
    const worker = new Worker(new URL("./finder.js", import.meta.url), { type: "module" });
    return new Promise((resolve, reject) => {
      const end = (why) => {
        clearTimeout(timer);
        worker.terminate();
        if (why) reject(Object.assign(new Error(why), { why: t(`panels.find.${why}`) }));
      };
      const timer = setTimeout(() => end("slow"), MOST_MS);
      this.giveUp = () => end("other");
      worker.onmessage = ({ data }) => {
        end(data.error);
        resolve(data);
      };
      worker.onerror = () => end("other");
      worker.postMessage(question);
    });
  }

  light() {
    const places = new Map();
    for (const [position, from, to] of this.found) {
      if (!places.has(position)) places.set(position, []);
      places.get(position).push([from, to]);
    }
    this.model.highlight(places.size ? places : null);
  }

  draw() {
    const n = this.found.length;
    this.told.classList.toggle("lt-danger-text", Boolean(this.problem));
    fill(
      this.told,
      this.problem
        || (!this.text.value
          ? t("panels.find.hint")
          : !n
            ? t("panels.find.none")
            : t("panels.find.of", { at: number(this.at + 1), n: `${number(n)}${this.isCapped ? "+" : ""}` })),
    );
    for (const one of [this.before, this.next, this.one, this.all]) one.disabled = !n;
  }

  go(by) {
    if (!this.found.length) return;
    this.at = (this.at + by + this.found.length) % this.found.length;
    this.draw();
    this.show();
  }

  show() {
    const [position] = this.found[this.at];
    this.model.select(position);
  }

  async replaceOne() {
    if (!(await this.fresh())) return;
    const match = this.found[this.at];
    if (!match) return;
    const [position, from, to, instead] = match;
    const text = this.model.get(position)?.text;
    if (text === undefined) return;
    await guarded(this.one, () =>
      this.model.change([{ position, text: text.slice(0, from) + instead + text.slice(to) }]),
    );
    // What was put there is not looked into again.
    this.found[this.at] = [position, from + instead.length, to, instead];
    await this.look();
  }

  async replaceAll() {
    if (!(await this.fresh())) return;
    const texts = new Map();
    let count = 0;
    let tooLong = 0;
    // From the end, so that places before it stay right.
    for (const [position, from, to, instead] of [...this.found].reverse()) {
      const text = texts.get(position) ?? this.model.get(position)?.text;
      if (text === undefined) continue;
      const now = text.slice(0, from) + instead + text.slice(to);
      if (now.length > MOST_CHARS) {
        tooLong += 1;
        continue;
      }
      texts.set(position, now);
      count += 1;
    }
    const changes = [...texts].map(([position, text]) => ({ position, text })).sort((a, b) => a.position - b.position);
    const told =
      t(count === 1 ? "panels.find.done.one" : "panels.find.done", { n: number(count) })
      + (tooLong ? ` ${t("panels.find.tooLong", { n: number(tooLong) })}` : "");
    if (changes.length) await guarded(this.all, () => changed(this.model, changes, told));
    else if (tooLong) toast(t("panels.find.tooLong", { n: number(tooLong) }), { kind: "warn" });
    await this.look({ isQuiet: true });
  }
}
