// One's own account: what one may do, how much of what is limited one has taken.

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { percent } from "../core/format.js";
import { badge, button, confirmed, guarded, progress } from "../core/parts.js";
import { t } from "../core/words.js";
import { NAMES, limitText } from "./limits_of.js";
import { Section, facts, heading } from "./section.js";

class Account extends Section {
  async load() {
    const who = await api.get("/users/me");
    fill(
      this,
      heading(
        "account",
        button(t("settings.account.signOut"), (event) => this.#signOut(event.currentTarget), { glyph: "back" }),
      ),
      h(
        "div",
        { class: "lt-card" },
        facts([
          [t("settings.user"), who.user],
          [t("settings.role"), t(`settings.role.${who.role}`)],
          [t("settings.department"), who.department || t("settings.department.none")],
          [
            t("settings.scopes"),
            h(
              "span",
              { class: "lt-row lt-settings-badges" },
              who.scopes.map((one) => badge(t(`settings.scope.${one}`))),
            ),
          ],
        ]),
      ),
      h("h3", {}, t("settings.account.limits")),
      h(
        "div",
        { class: "lt-card" },
        NAMES.map((name) => limit(name, who.limits[name], who.used[name])),
      ),
    );
  }

  async #signOut(control) {
    if (
      !(await confirmed(t("settings.account.signOut"), t("settings.account.signOutText"), {
        yes: t("settings.account.signOut"),
      }))
    )
      return;
    const done = await guarded(control, () => api.delete(`/users/${encodeURIComponent(this.who.user)}/sessions`));
    if (done) location.assign("/login");
  }
}

customElements.define("lt-settings-account", Account);

/** How much is taken of one limit, as far as the service counts it for longer than a minute. */
function limit(name, most, used) {
  const title = t(`settings.limit.${name}`);
  const isLimited = most !== null && most !== undefined && most > 0;
  if (used === undefined)
    return h(
      "div",
      { class: "lt-settings-usage" },
      h(
        "div",
        { class: "lt-row lt-spread" },
        h("span", {}, title),
        h("span", { class: "lt-soft" }, limitText(name, most)),
      ),
    );
  const taken = used ? limitText(name, used) : t("settings.limit.nothing");
  return h(
    "div",
    { class: "lt-settings-usage" },
    h(
      "div",
      { class: "lt-row lt-spread" },
      h("span", {}, title),
      h(
        "span",
        { class: "lt-soft lt-number" },
        isLimited
          ? t("settings.limit.of", { used: taken, most: limitText(name, most), share: percent(used / most) })
          : t("settings.limit.free", { used: taken }),
      ),
    ),
    isLimited && progress(Math.min(1, used / most), title),
  );
}
