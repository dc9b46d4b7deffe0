// The settings: one section at a time, named in the address (settings?section=users).

import { fill, h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { me, unloaded } from "../core/main.js";
import { problemBox, spinner } from "../core/parts.js";
import { learn, t } from "../core/words.js";
import words from "../words/settings.js";

learn(words);

const isAdmin = (who) => who.scopes.includes("admin");
const overseesPeople = (who) => isAdmin(who) || who.role === "manager";
const reads = (who) => who.scopes.includes("read");
const audits = (who) => isAdmin(who) || who.scopes.includes("audit");

/** Groups of sections: name, icon, and who is shown it. What they may do there the server decides. */
const GROUPS = [
  [
    "service",
    [
      ["models", "layers", isAdmin],
      ["engine", "gauge", isAdmin],
      ["limits", "gear", isAdmin],
      ["system", "chart", isAdmin],
    ],
  ],
  [
    "people",
    [
      ["users", "people", overseesPeople],
      ["departments", "folder", isAdmin],
    ],
  ],
  [
    "records",
    [
      ["retention", "history", isAdmin],
      ["audit", "list", audits],
      ["backups", "box", isAdmin],
    ],
  ],
  [
    "yours",
    [
      ["account", "user", () => true],
      ["keys", "key", () => true],
      ["webhooks", "share", reads],
    ],
  ],
];

class SettingsPage extends HTMLElement {
  #nav = h("nav", { class: "lt-settings-nav", "aria-label": t("settings.sections") });
  #place = h("section", { class: "lt-settings-place" });
  #shown = null;
  #name = null;
  #who = null;

  connectedCallback() {
    fill(
      this,
      h("h1", {}, t("page.settings")),
      h("div", { class: "lt-settings" }, this.#nav, fill(this.#place, spinner())),
    );
    this.#begin();
  }

  async #begin() {
    try {
      this.#who = await me;
    } catch (error) {
      fill(
        this.#place,
        problemBox(error, () => location.reload()),
      );
      return;
    }
    this.addressChanged();
  }

  /** The address names another section; a filter within one is that section's own matter. */
  async addressChanged() {
    if (this.#who === null) return;
    const seen = GROUPS.map(([name, all]) => [name, all.filter(([, , may]) => may(this.#who))]).filter(
      ([, all]) => all.length,
    );
    const names = seen.flatMap(([, all]) => all.map(([name]) => name));
    const asked = new URLSearchParams(location.search).get("section");
    const name = names.includes(asked) ? asked : names[0];
    this.#draw(seen, name);
    this.#name = name;
    if (this.#shown?.localName === `lt-settings-${name}`) {
      this.#shown.addressChanged?.();
      return;
    }
    this.#shown = null;
    fill(this.#place, spinner());
    try {
      await import(`../settings/${name}.js`);
    } catch (error) {
      await unloaded(error);
      if (this.#name === name)
        fill(
          this.#place,
          problemBox({ code: "page", message: t("error.load") }, () => location.reload()),
        );
      return;
    }
    if (!this.isConnected || this.#shown !== null || this.#name !== name) return;
    this.#shown = document.createElement(`lt-settings-${name}`);
    this.#shown.who = this.#who;
    fill(this.#place, this.#shown);
  }

  #draw(groups, current) {
    const titleOf = (name) => t(`settings.${name}`);
    fill(
      this.#nav,
      groups.map(([group, all]) =>
        h(
          "div",
          { class: "lt-settings-links" },
          h("p", {}, t(`settings.group.${group}`)),
          all.map(([name, glyph]) =>
            h(
              "a",
              { href: `/app/settings?section=${name}`, "aria-current": name === current ? "page" : null },
              icon(glyph),
              h("span", {}, titleOf(name)),
            ),
          ),
        ),
      ),
    );
    document.title = `${titleOf(current)} · ${t("page.settings")} · ${t("product")}`;
    // On a phone the sections are one row: the current one is brought into sight, nothing else moves.
    const link = this.#nav.querySelector("[aria-current]");
    if (link && this.#nav.scrollWidth > this.#nav.clientWidth)
      this.#nav.scrollLeft = link.offsetLeft - this.#nav.offsetLeft - 24;
  }
}

customElements.define("lt-settings", SettingsPage);
