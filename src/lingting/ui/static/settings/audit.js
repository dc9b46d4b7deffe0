// The audit trail: who did what, newest first, and whether it is whole.

import { api } from "../core/api.js";
import { debounced, fill, h } from "../core/dom.js";
import { number, when } from "../core/format.js";
import { formDialog } from "../core/forms.js";
import { badge, button, copy, empty, field, guarded, select } from "../core/parts.js";
import { t } from "../core/words.js";
import words from "../words/settings.js";
import { Section, heading, table } from "./section.js";

const PAGE = 50;
const DID = "settings.did.";
const ACTIONS = Object.keys(words)
  .filter((key) => key.startsWith(DID))
  .map((key) => key.slice(DID.length));
const actionText = (name) => (ACTIONS.includes(name) ? t(`settings.did.${name}`) : name);

class Audit extends Section {
  #action = "";
  #object = "";
  #list = h("div", {});
  #verdict = h("div", { "aria-live": "polite" });

  async load() {
    const actions = select([["", t("settings.audit.any")], ...ACTIONS.map((one) => [one, actionText(one)])], {
      value: this.#action,
      onchange: (event) => {
        this.#action = event.target.value;
        this.#page();
      },
    });
    const object = h("input", {
      type: "search",
      maxlength: "100",
      value: this.#object,
      spellcheck: "false",
      autocapitalize: "none",
      oninput: debounced(() => {
        this.#object = object.value.trim();
        this.#page();
      }, 300),
    });
    const isWhole = this.who.scopes.includes("admin") || this.who.role === "admin";
    fill(
      this,
      heading(
        "audit",
        isWhole && button(t("settings.audit.verify"), (event) => this.#verify(event.currentTarget), { glyph: "check" }),
        isWhole && button(t("settings.audit.compare"), () => this.#compare(), { kind: "quiet" }),
      ),
      this.#verdict,
      h(
        "div",
        { class: "lt-settings-filters" },
        field(t("settings.audit.action"), actions),
        field(t("settings.audit.object"), object),
      ),
      this.#list,
    );
    await this.#read([]);
  }

  #page() {
    return guarded(null, () => this.#read([]));
  }

  async #read(before) {
    const action = this.#action;
    const object = this.#object;
    const page = await api.get("/audit", { limit: PAGE, action, object, before: before.at(-1)?.next });
    if (action !== this.#action || object !== this.#object) return;
    const read = [...before, page];
    const all = read.flatMap((one) => one.items);
    fill(
      this.#list,
      all.length
        ? table(
            t("settings.audit"),
            [
              [t("settings.when"), (one) => h("span", { class: "lt-number lt-settings-when" }, when(one.at))],
              [t("settings.audit.who"), (one) => h("span", { title: one.by }, one.actor || "–")],
              [t("settings.audit.action"), (one) => actionText(one.action)],
              [t("settings.audit.object"), (one) => this.#objectOf(one)],
              [t("settings.audit.details"), detailsOf],
            ],
            all,
          )
        : empty(t("settings.audit.none"), t("settings.audit.none.text")),
      page.next !== null && button(t("settings.more"), (event) => guarded(event.currentTarget, () => this.#read(read))),
    );
  }

  /** An id leads to everything that was done with it. */
  #objectOf(one) {
    if (!one.object_id) return "–";
    return h(
      "button",
      {
        type: "button",
        class: "lt-settings-link",
        title: t("settings.audit.only"),
        onclick: () => {
          this.#object = one.object_id;
          this.show();
        },
      },
      one.object_id,
    );
  }

  async #verify(control, anchor = null) {
    const verdict = await guarded(control, () => api.get("/audit/verify", { anchor }));
    if (verdict) this.#say(verdict);
  }

  async #compare() {
    const anchor = h("input", {
      required: true,
      maxlength: "100",
      autocomplete: "off",
      spellcheck: "false",
      autofocus: true,
    });
    const verdict = await formDialog(
      t("settings.audit.compare"),
      [h("p", {}, t("settings.audit.compareText")), field(t("settings.audit.anchor"), anchor)],
      { yes: t("settings.audit.verify"), send: () => api.get("/audit/verify", { anchor: anchor.value.trim() }) },
    );
    if (verdict) this.#say(verdict);
  }

  #say(verdict) {
    fill(
      this.#verdict,
      h(
        "div",
        { class: "lt-card" },
        h(
          "p",
          {},
          badge(
            t(verdict.is_whole ? "settings.audit.whole" : "settings.audit.broken"),
            verdict.is_whole ? "good" : "bad",
          ),
          " ",
          t("settings.audit.rows", { n: number(verdict.rows) }),
          verdict.bad_id !== null && ` ${t("settings.audit.bad", { id: verdict.bad_id })}`,
        ),
        verdict.reason && h("p", {}, verdict.reason),
        verdict.anchor
          && h(
            "div",
            { class: "lt-settings-anchor" },
            h("span", { class: "lt-soft" }, t("settings.audit.anchor")),
            h("code", {}, verdict.anchor),
            button(t("settings.copy"), () => copy(verdict.anchor), { kind: "quiet", glyph: "copy" }),
          ),
        h("p", { class: "lt-hint" }, t("settings.audit.anchorText")),
      ),
    );
  }
}

customElements.define("lt-settings-audit", Audit);

const detailsOf = (one) => {
  const all = Object.entries(one.details);
  return all.length
    ? h("span", { class: "lt-small lt-soft" }, all.map(([name, value]) => `${name}: ${value}`).join(" · "))
    : "–";
};
