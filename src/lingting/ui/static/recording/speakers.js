// Who speaks: names, colours, how much of the talk is theirs; rename, put together, assign.

import { debounced, fill, h, newId } from "../core/dom.js";
import { clock, number, percent } from "../core/format.js";
import { button, empty, field, guarded, menu, problemBox, select, spinner } from "../core/parts.js";
import { t } from "../core/words.js";
import { changed, dressed, on } from "./beside.js";

const NOBODY = "";
const NEW = "\0new";

export async function open(model, into, wish = {}) {
  await dressed();
  const panel = new Speakers(model, into);
  panel.position = wish.position ?? model.selection ?? model.positionAt(model.time);
  await panel.draw();
  panel.ask(wish);
  const close = () => panel.close();
  close.wish = (given) => {
    panel.position = given.position ?? panel.position;
    panel.draw().then(() => panel.ask(given));
  };
  return close;
}

class Speakers {
  constructor(model, into) {
    this.model = model;
    this.into = into;
    const soon = debounced(() => this.draw(), 300);
    this.ends = [
      on(model, "changed", (detail) => {
        if (!detail.isLoaded) soon();
      }),
      on(model, "revision", soon),
      on(model, "select", ({ position }) => {
        if (position !== null && position !== this.position) {
          this.position = position;
          soon();
        }
      }),
      () => soon.cancel(),
    ];
  }

  close() {
    for (const end of this.ends) end();
  }

  /** Somebody clicked the speaker of a segment. */
  ask({ position }) {
    if (position !== undefined && position !== null) this.chosen?.focus();
  }

  async draw() {
    if (!this.into.children.length) fill(this.into, spinner());
    let segments;
    try {
      segments = await this.model.all();
    } catch (error) {
      fill(
        this.into,
        problemBox(error, () => {
          fill(this.into);
          this.draw();
        }),
      );
      return;
    }
    if (this.into.contains(document.activeElement) && document.activeElement.matches("input[type=text]")) return;
    const kept = document.activeElement?.dataset?.speakers;
    const people = this.people(segments);
    const isLocked = this.model.isReadOnly;
    fill(
      this.into,
      isLocked && h("p", { class: "lt-note" }, t("panels.readOnly")),
      !isLocked && this.assigning(segments, people),
      people.some((one) => one.name)
        ? h(
            "ul",
            { class: "lt-panels-people" },
            people.map((one) => this.person(one, people, isLocked)),
          )
        : empty(t("panels.speakers.none"), t(isLocked ? "panels.speakers.none.locked" : "panels.speakers.none.text")),
    );
    if (kept) this.into.querySelector(`[data-speakers="${CSS.escape(kept)}"]`)?.focus();
  }

  people(segments) {
    const found = new Map();
    let talk = 0;
    segments.forEach((one, position) => {
      if (!one) return;
      const name = one.speaker || NOBODY;
      const length = Math.max(0, one.end_s - one.start_s);
      if (!found.has(name)) found.set(name, { name, length: 0, places: [] });
      const person = found.get(name);
      person.length += length;
      person.places.push(position);
      talk += length;
    });
    return [...found.values()]
      .map((one) => ({ ...one, share: talk ? one.length / talk : 0 }))
      .sort((a, b) => (a.name === NOBODY) - (b.name === NOBODY) || b.length - a.length);
  }

  hue(name) {
    return name ? this.model.colours.valueOf(name) : "var(--lt-line)";
  }

  person(one, people, isLocked) {
    const shown = one.name || t("panels.speakers.nobody");
    const bar = h(
      "div",
      {
        class: "lt-panels-share",
        role: "img",
        "aria-label": t("panels.speakers.share", { share: percent(one.share) }),
      },
      h("span"),
    );
    bar.style.setProperty("--lt-panels-part", `${100 * one.share}%`);
    const made = h(
      "li",
      { class: "lt-panels-person" },
      h(
        "div",
        { class: "lt-row" },
        h("span", { class: "lt-panels-dot", "aria-hidden": "true" }),
        h("strong", { class: "lt-grow lt-panels-name" }, shown),
        button(t("panels.speakers.next"), () => this.next(one), {
          kind: "quiet",
          label: t("panels.speakers.next.of", { name: shown }),
        }),
        !isLocked
          && menu(null, () => this.actions(one, people, made), {
            kind: "quiet",
            label: t("panels.speakers.actions", { name: shown }),
          }),
      ),
      bar,
      h(
        "p",
        { class: "lt-soft lt-small lt-number" },
        [
          percent(one.share),
          clock(one.length),
          t(one.places.length === 1 ? "panels.speakers.turn" : "panels.speakers.turns", {
            n: number(one.places.length),
          }),
        ].join(" · "),
      ),
    );
    made.style.setProperty("--lt-panels-hue", this.hue(one.name));
    return made;
  }

  actions(one, people, made) {
    const others = people.filter((other) => other.name && other.name !== one.name).slice(0, 12);
    return [
      {
        text: t(one.name ? "panels.speakers.rename" : "panels.speakers.name"),
        glyph: "edit",
        run: () => this.rename(one, made),
      },
      ...(others.length
        ? [
            null,
            ...others.map((other) => ({
              text: t(one.name ? "panels.speakers.into" : "panels.speakers.to", { name: other.name }),
              glyph: "people",
              run: () => this.give(one, other.name),
            })),
          ]
        : []),
      ...(one.name
        ? [null, { text: t("panels.speakers.takeAway"), glyph: "close", run: () => this.give(one, null) }]
        : []),
    ];
  }

  rename(one, made) {
    const input = h("input", { type: "text", value: one.name, maxlength: 200, required: true, autocomplete: "off" });
    const back = () => {
      input.remove();
      this.draw();
    };
    const form = h(
      "form",
      {
        class: "lt-panels-rename",
        onsubmit: async (event) => {
          event.preventDefault();
          const name = input.value.trim();
          input.blur();
          if (name && name !== one.name) await this.give(one, name);
          back();
        },
      },
      field(t("panels.speakers.rename.to"), input),
      h(
        "div",
        { class: "lt-row" },
        button(t("save"), null, { kind: "primary", type: "submit" }),
        button(t("cancel"), back),
      ),
    );
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        back();
      }
    });
    fill(made, form);
    input.focus();
    input.select();
  }

  /** All that somebody says is somebody else's. */
  async give(one, name) {
    const told =
      name === null
        ? t("panels.speakers.taken", { name: one.name })
        : t("panels.speakers.given", { from: one.name || t("panels.speakers.nobody"), to: name });
    await guarded(null, () =>
      changed(
        this.model,
        one.places.map((position) => ({ position, speaker: name })),
        told,
      ),
    );
    await this.draw();
  }

  next(one) {
    const from = this.position ?? -1;
    const position = one.places.find((place) => place > from) ?? one.places[0];
    this.position = position;
    this.model.select(position);
    const segment = this.model.get(position);
    if (segment) this.model.seek(segment.start_s);
  }

  /** Of the segment that is lit, and of those behind it that had the same speaker. */
  assigning(segments, people) {
    const segment = segments[this.position];
    if (!segment) {
      this.chosen = null;
      return h("p", { class: "lt-hint lt-panels-hint" }, t("panels.speakers.choose"));
    }
    const typed = h("input", {
      type: "text",
      maxlength: 200,
      autocomplete: "off",
      hidden: true,
      "aria-label": t("panels.speakers.newName"),
      placeholder: t("panels.speakers.newName"),
    });
    const run = h("input", { type: "checkbox", id: newId() });
    const put = async () => {
      const name = this.chosen.value === NEW ? typed.value.trim() : this.chosen.value;
      if (this.chosen.value === NEW && !name) return;
      const places = [this.position];
      if (run.checked)
        for (
          let at = this.position + 1;
          at < segments.length && (segments[at].speaker || "") === (segment.speaker || "");
          at += 1
        )
          places.push(at);
      typed.blur();
      await guarded(this.chosen, () =>
        changed(
          this.model,
          places.map((position) => ({ position, speaker: name || null })),
          t(places.length === 1 ? "panels.speakers.assigned.one" : "panels.speakers.assigned", {
            n: places.length,
            name: name || t("panels.speakers.nobody"),
          }),
        ),
      );
      await this.draw();
    };
    this.chosen = select(
      [
        [NOBODY, t("panels.speakers.nobody")],
        ...people.filter((one) => one.name).map((one) => [one.name, one.name]),
        [NEW, t("panels.speakers.new")],
      ],
      {
        value: segment.speaker || NOBODY,
        "data-speakers": "assign",
        onchange: () => {
          typed.hidden = this.chosen.value !== NEW;
          if (typed.hidden) put();
          else typed.focus();
        },
      },
    );
    return h(
      "form",
      {
        class: "lt-panels-assign",
        onsubmit: (event) => {
          event.preventDefault();
          put();
        },
      },
      field(t("panels.speakers.of", { time: clock(segment.start_s) }), this.chosen),
      typed,
      h("label", { class: "lt-panels-check" }, run, t("panels.speakers.run")),
    );
  }
}
