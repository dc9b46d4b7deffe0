// What the sections of the settings are built of: loading, tables, secrets shown once.

import { fill, h } from "../core/dom.js";
import { button, copy, dialog, field, problemBox, spinner } from "../core/parts.js";
import { t } from "../core/words.js";

/**
 * One section: a subclass writes `load()`, which asks and draws. `who` is the answer of /users/me.
 */
export class Section extends HTMLElement {
  #timer = 0;

  connectedCallback() {
    fill(this, spinner());
    this.show();
  }

  disconnectedCallback() {
    this.rest();
  }

  /** Load everything again; what goes wrong is said in the place of the section. */
  async show() {
    this.rest();
    if (!this.isConnected) return;
    try {
      await this.load();
    } catch (error) {
      if (this.isConnected)
        fill(
          this,
          problemBox(error, () => this.connectedCallback()),
        );
    }
  }

  /**
   * `work` again and again in place of what was done so before, until `rest()` or the section ends; not
   * while the page is hidden. A failure is passed over: the next time may do.
   */
  every(ms, work) {
    this.rest();
    if (!this.isConnected) return; // it was left while it loaded
    let isBusy = false;
    this.#timer = setInterval(async () => {
      if (isBusy || document.hidden) return;
      isBusy = true;
      try {
        await work();
      } catch (error) {
        if (!error?.code) console.warn("unexpected", error);
      } finally {
        isBusy = false;
      }
    }, ms);
  }

  rest() {
    clearInterval(this.#timer);
  }
}

/** Other content in the same place; the control that had the focus (by its `data-of`) has it again. */
export function refill(into, ...children) {
  const of = into.contains(document.activeElement) && document.activeElement.dataset.of;
  fill(into, ...children);
  if (of) into.querySelector(`[data-of="${CSS.escape(of)}"]`)?.focus();
}

/** Title of a section, what it is for, and what can be done. */
export const heading = (name, ...actions) =>
  h(
    "div",
    { class: "lt-top" },
    h(
      "div",
      { class: "lt-settings-about" },
      h("h2", {}, t(`settings.${name}`)),
      h("p", {}, t(`settings.${name}.about`)),
    ),
    actions.length > 0 && h("div", { class: "lt-row" }, actions),
  );

/** `columns`: [label, row => content, class]; on a phone each row is a card with the labels. */
export function table(label, columns, rows) {
  return h(
    "div",
    { class: "lt-scroll lt-settings-table", tabindex: "0", role: "region", "aria-label": label },
    h(
      "table",
      { class: "lt-table lt-cards" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map(([text, , kind]) =>
            h("th", { scope: "col", class: kind }, text || h("span", { class: "lt-hidden" }, t("settings.actions"))),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) => tableRow(columns, row)),
      ),
    ),
  );
}

const tableRow = (columns, row) =>
  h(
    "tr",
    {},
    columns.map(([text, draw, kind]) => h("td", { "data-label": text || null, class: kind }, draw(row))),
  );

/** Pairs of a term and what is known of it. */
export const facts = (pairs) =>
  h(
    "dl",
    { class: "lt-settings-facts" },
    pairs.filter(Boolean).map(([term, ...known]) => h("div", {}, h("dt", {}, term), h("dd", {}, known))),
  );

/** A secret, which the service tells once: it stays until somebody says that they have it. */
export const shownOnce = (title, text, secret) =>
  dialog(title, (close) => {
    const shown = h("input", {
      value: secret,
      readonly: true,
      spellcheck: "false",
      class: "lt-settings-secret",
      onfocus: (event) => event.target.select(),
    });
    return [
      h("p", {}, text),
      field(t("settings.once"), shown),
      h(
        "footer",
        {},
        button(t("settings.copy"), () => copy(secret), { kind: "primary", glyph: "copy", autofocus: true }),
        button(t("settings.have"), () => close(true)),
      ),
    ];
  });

/** Boxes of which any may be ticked; `values()` are those that are. */
export function checks(options, chosen) {
  const boxes = options.map(([value, text]) =>
    h(
      "label",
      { class: "lt-settings-check" },
      h("input", { type: "checkbox", value, checked: chosen.includes(value) }),
      h("span", {}, text),
    ),
  );
  const made = h("div", { class: "lt-settings-checks" }, boxes);
  made.values = () =>
    boxes
      .map((box) => box.firstChild)
      .filter((box) => box.checked)
      .map((box) => box.value);
  return made;
}

/** Several controls under one legend. */
export const group = (legend, ...controls) =>
  h("fieldset", { class: "lt-settings-group" }, h("legend", {}, legend), controls);

/** A place in the address, without loading the page again. */
export const place = (section, query = {}) => `settings?${new URLSearchParams({ section, ...query })}`;
