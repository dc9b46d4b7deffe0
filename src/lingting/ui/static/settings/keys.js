// Keys for programs: made, shown once, revoked.

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { day, when } from "../core/format.js";
import { formDialog } from "../core/forms.js";
import { badge, button, confirmed, empty, field, guarded, select, toast } from "../core/parts.js";
import { t } from "../core/words.js";
import { Section, checks, group, heading, shownOnce, table } from "./section.js";

const SCOPES = ["read", "write", "search", "audit", "admin"];
const DAYS = [
  ["", "settings.keys.forever"],
  ["7", "settings.keys.days7"],
  ["30", "settings.keys.days30"],
  ["90", "settings.keys.days90"],
  ["365", "settings.keys.days365"],
];

class Keys extends Section {
  async load() {
    const isAdmin = this.who.scopes.includes("admin");
    const isByKey = this.who.by.startsWith("key:");
    const all = (await api.get("/keys")).items;
    const make = () => button(t("settings.keys.make"), () => this.#make(isAdmin), { kind: "primary", glyph: "plus" });
    const mayMake = isAdmin || !isByKey;
    const showsUser = isAdmin || this.who.role === "manager";
    fill(
      this,
      heading("keys", mayMake && all.length > 0 && make()),
      all.length
        ? table(
            t("settings.keys"),
            [
              [
                t("settings.keys.name"),
                (key) => [h("strong", {}, key.name), key.is_local && [" ", badge(t("settings.keys.local"))]],
              ],
              showsUser && [t("settings.user"), (key) => key.user],
              [
                t("settings.scopes"),
                (key) =>
                  h(
                    "div",
                    { class: "lt-row lt-settings-badges" },
                    key.scopes.map((one) => badge(t(`settings.scope.${one}`))),
                  ),
              ],
              [t("settings.keys.used"), (key) => (key.last_used_at ? when(key.last_used_at) : t("settings.never"))],
              [t("settings.keys.ends"), ends],
              [
                "",
                (key) =>
                  button(t("settings.keys.revoke"), () => this.#revoke(key), {
                    kind: "quiet",
                    "aria-label": t("settings.keys.revokeOf", { name: key.name }),
                  }),
                "lt-settings-end",
              ],
            ].filter(Boolean),
            all,
          )
        : empty(t("settings.keys.none"), t("settings.keys.none.text"), mayMake && make()),
      h("p", { class: "lt-soft lt-small" }, t("settings.keys.how"), " ", h("code", {}, "Authorization: Bearer lk_…")),
    );
  }

  async #make(isAdmin) {
    const users = isAdmin ? (await guarded(null, () => api.get("/users")))?.items || [] : [];
    const name = h("input", { required: true, maxlength: "60", autocomplete: "off", autofocus: true });
    const listId = "lt-settings-users-of-keys";
    const user = h("input", {
      value: this.who.user,
      maxlength: "40",
      autocomplete: "off",
      spellcheck: "false",
      autocapitalize: "none",
      list: listId,
      required: true,
    });
    const scopes = checks(
      SCOPES.filter((one) => this.who.scopes.includes(one)).map((one) => [one, t(`settings.scope.${one}`)]),
      ["read", "write"].filter((one) => this.who.scopes.includes(one)),
    );
    const days = select(
      DAYS.map(([value, text]) => [value, t(text)]),
      { value: "90" },
    );
    const made = await formDialog(
      t("settings.keys.make"),
      [
        field(t("settings.keys.name"), name, { hint: t("settings.keys.name.hint") }),
        isAdmin && [
          field(t("settings.user"), user, { hint: t("settings.keys.user.hint") }),
          h(
            "datalist",
            { id: listId },
            users.map((one) => h("option", { value: one.name })),
          ),
        ],
        group(t("settings.scopes"), scopes),
        field(t("settings.keys.ends"), days),
      ],
      {
        yes: t("settings.keys.make"),
        send: () =>
          api.post("/keys", {
            name: name.value.trim(),
            scopes: scopes.values(),
            days: days.value ? Number(days.value) : null,
            ...(isAdmin && user.value.trim() !== this.who.user ? { user: user.value.trim() } : {}),
          }),
      },
    );
    if (!made) return;
    await shownOnce(t("settings.keys.made", { name: made.key.name }), t("settings.keys.madeText"), made.secret);
    await this.show();
  }

  async #revoke(key) {
    const isSure = await confirmed(t("settings.keys.revokeOf", { name: key.name }), t("settings.keys.revokeText"), {
      yes: t("settings.keys.revoke"),
      danger: true,
    });
    if (!isSure || !(await guarded(null, () => api.delete(`/keys/${key.id}`)))) return;
    toast(t("settings.keys.revoked", { name: key.name }));
    await this.show();
  }
}

customElements.define("lt-settings-keys", Keys);

function ends(key) {
  if (!key.expires_at) return t("settings.keys.forever");
  return new Date(key.expires_at) < new Date() ? badge(t("settings.keys.over"), "warn") : day(key.expires_at);
}
