// Retention: how long recordings stay. The first rule that fits a recording decides.

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { button, empty, field, guarded, select, toast } from "../core/parts.js";
import { t } from "../core/words.js";
import { Section, facts, heading } from "./section.js";

const KINDS = ["all", "department", "owner", "tag"];

class Retention extends Section {
  #saved = [];
  #rules = [];
  #departments = [];
  #due = h("div", { class: "lt-card" });
  #list = h("div", {});
  #foot = h("div", { class: "lt-settings-foot" });

  async load() {
    const [retention, departments] = await Promise.all([api.get("/retention"), api.get("/departments")]);
    this.#departments = departments.items.map((one) => one.name);
    this.#take(retention);
    fill(this, heading("retention"), this.#due, this.#list, this.#foot);
  }

  #take(retention) {
    this.#saved = retention.rules;
    this.#rules = retention.rules.map((rule) => ({ ...rule }));
    fill(
      this.#due,
      facts([
        [t("settings.retention.toDelete"), String(retention.due_to_delete)],
        [t("settings.retention.toPurge"), String(retention.due_to_purge)],
        [t("settings.retention.held"), String(retention.held)],
      ]),
    );
    this.#draw();
  }

  #draw() {
    fill(
      this.#list,
      this.#rules.length
        ? this.#rules.map((rule, at) => this.#rule(rule, at))
        : empty(t("settings.retention.none"), t("settings.retention.none.text")),
    );
    this.#told();
  }

  /** Buttons stay the same elements: leaving a field must not take away the one that is pressed. */
  #told() {
    const isChanged = JSON.stringify(this.#rules) !== JSON.stringify(this.#saved);
    if (!this.#foot.hasChildNodes()) {
      fill(
        this.#foot,
        h(
          "div",
          { class: "lt-row" },
          button(t("settings.retention.add"), () => this.#add(), { glyph: "plus" }),
          button(t("settings.retention.save"), (event) => this.#save(event.currentTarget, this.#rules), {
            kind: "primary",
            "data-changed": "",
          }),
          button(
            t("settings.discard"),
            () => {
              this.#rules = this.#saved.map((rule) => ({ ...rule }));
              this.#draw();
            },
            { kind: "quiet", "data-changed": "" },
          ),
        ),
        h("p", { class: "lt-hint", "data-changed": "" }, t("settings.retention.unsaved")),
      );
    }
    for (const one of this.#foot.querySelectorAll("[data-changed]")) one.hidden = !isChanged;
  }

  #add() {
    this.#rules.push({ delete_after_days: 365, purge_after_days: 30 });
    this.#draw();
    this.#list.lastElementChild.querySelector("select").focus();
  }

  #rule(rule, at) {
    const sentence = h("p", { class: "lt-hint lt-settings-rule-said" }, said(rule));
    const changed = () => {
      fill(sentence, said(rule));
      this.#told();
    };
    const also = KINDS.slice(1).filter((kind) => rule[kind] !== undefined);
    const kind = also[0] || "all";
    const which = select(
      KINDS.map((one) => [one, t(`settings.retention.for.${one}`)]),
      {
        value: kind,
        onchange: (event) => {
          for (const one of KINDS) delete rule[one];
          if (event.target.value !== "all")
            rule[event.target.value] = event.target.value === "department" ? this.#departments[0] || "" : "";
          this.#draw();
          this.#list.children[at].querySelector("select").focus();
        },
      },
    );
    const value =
      kind === "department" && this.#departments.length
        ? select(
            [...new Set([...this.#departments, rule.department])].map((one) => [one, one]),
            {
              value: rule.department,
              onchange: (event) => {
                rule.department = event.target.value;
                changed();
              },
            },
          )
        : kind !== "all"
          && h("input", {
            value: rule[kind],
            required: true,
            oninput: (event) => {
              rule[kind] = event.target.value.trim();
              changed();
            },
          });
    const days = (name) =>
      h("input", {
        type: "number",
        min: "0",
        step: "any",
        value: rule[name] === undefined ? "" : String(rule[name]),
        placeholder: t("settings.retention.ever"),
        oninput: (event) => {
          if (event.target.value === "") delete rule[name];
          else rule[name] = Number(event.target.value);
          changed();
        },
      });
    const move = (by) => {
      const [taken] = this.#rules.splice(at, 1);
      this.#rules.splice(at + by, 0, taken);
      this.#draw();
    };
    return h(
      "fieldset",
      { class: "lt-card lt-settings-rule" },
      h("legend", { class: "lt-hidden" }, t("settings.retention.rule", { n: at + 1 })),
      h("span", { class: "lt-settings-place-of", "aria-hidden": "true" }, String(at + 1)),
      h(
        "div",
        { class: "lt-settings-rule-fields" },
        field(t("settings.retention.which"), which),
        value && field(t(`settings.retention.name.${kind}`), value),
        field(t("settings.retention.delete"), days("delete_after_days")),
        field(t("settings.retention.purge"), days("purge_after_days")),
      ),
      h(
        "div",
        { class: "lt-settings-rule-tools" },
        button(null, () => move(-1), {
          kind: "quiet",
          glyph: "up",
          label: t("settings.retention.up", { n: at + 1 }),
          disabled: at === 0,
        }),
        button(null, () => move(1), {
          kind: "quiet",
          glyph: "down",
          label: t("settings.retention.down", { n: at + 1 }),
          disabled: at === this.#rules.length - 1,
        }),
        button(
          null,
          () => {
            this.#rules.splice(at, 1);
            this.#draw();
          },
          { kind: "quiet", glyph: "trash", label: t("settings.retention.remove", { n: at + 1 }) },
        ),
      ),
      also.length > 1
        && h(
          "p",
          { class: "lt-hint" },
          also
            .slice(1)
            .map((one) => `${t(`settings.retention.for.${one}`)}: ${rule[one]}`)
            .join(", "),
        ),
      sentence,
    );
  }

  async #save(control, rules) {
    const before = this.#saved;
    const now = await guarded(control, () => api.put("/retention", { rules }));
    if (!now) return;
    this.#take(now);
    toast(t("settings.retention.saved"), { action: { text: t("undo"), run: () => this.#save(null, before) } });
  }
}

customElements.define("lt-settings-retention", Retention);

const inDays = (key, n) => t(n === 1 ? `${key}.one` : key, { n });

/** What a rule does, as a sentence. */
function said(rule) {
  const parts = [];
  if (rule.delete_after_days !== undefined) parts.push(inDays("settings.retention.saidDelete", rule.delete_after_days));
  if (rule.purge_after_days !== undefined) parts.push(inDays("settings.retention.saidPurge", rule.purge_after_days));
  return parts.length ? parts.join(t("settings.retention.then")) : t("settings.retention.saidEver");
}
