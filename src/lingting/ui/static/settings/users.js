// Users: who they are, what they may do, how they sign in.

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { day } from "../core/format.js";
import { formDialog } from "../core/forms.js";
import { badge, button, confirmed, empty, field, guarded, menu, select, toast } from "../core/parts.js";
import { t } from "../core/words.js";
import { NAMES, limitText, limitsField } from "./limits_of.js";
import { Section, group, heading, shownOnce, table } from "./section.js";

const ROLES = ["member", "manager", "admin", "service"];

class Users extends Section {
  #users = [];
  #departments = [];
  #list = h("div", {});
  #search = h("input", {
    type: "search",
    "aria-label": t("settings.users.search"),
    placeholder: t("settings.users.search"),
    oninput: () => this.#draw(),
  });

  get #isAdmin() {
    return this.who.scopes.includes("admin");
  }

  async load() {
    const [users, departments] = await Promise.all([api.get("/users"), api.get("/departments")]);
    this.#users = users.items;
    this.#departments = departments.items.map((one) => one.name);
    fill(
      this,
      heading(
        "users",
        this.#isAdmin && button(t("settings.users.add"), () => this.#add(), { kind: "primary", glyph: "plus" }),
      ),
      this.#users.length > 8 && h("div", { class: "lt-settings-filter" }, this.#search),
      this.#list,
    );
    this.#draw();
  }

  #draw() {
    const wanted = this.#search.value.trim().toLowerCase();
    const shown = this.#users.filter((user) =>
      [user.name, user.department || ""].some((text) => text.toLowerCase().includes(wanted)),
    );
    if (!shown.length) return fill(this.#list, empty(t("settings.users.none"), t("settings.users.none.text")));
    const columns = [
      [
        t("settings.user"),
        (user) => [
          h("strong", {}, user.name),
          user.name === this.who.user && h("span", { class: "lt-soft" }, ` ${t("settings.you")}`),
        ],
      ],
      [t("settings.role"), (user) => t(`settings.role.${user.role}`)],
      [t("settings.department"), (user) => user.department || "–"],
      [t("settings.state"), stateOf],
      [t("settings.limits.own"), (user) => own(user.limits)],
      [t("settings.since"), (user) => day(user.created_at)],
    ];
    if (this.#isAdmin) columns.push(["", (user) => this.#menu(user), "lt-settings-end"]);
    return fill(this.#list, table(t("settings.users"), columns, shown));
  }

  #menu(user) {
    const isMe = user.name === this.who.user;
    const isOff = user.disabled_at !== null;
    return menu(
      null,
      () =>
        [
          { text: t("settings.change"), glyph: "edit", run: () => this.#change(user) },
          !isOff && { text: t("settings.users.link"), glyph: "key", run: () => this.#link(user.name) },
          { text: t("settings.users.signOut"), glyph: "back", run: () => this.#signOut(user.name) },
          ...(isMe
            ? []
            : [
                null,
                isOff
                  ? { text: t("settings.enable"), glyph: "check", run: () => this.#able(user.name, true) }
                  : {
                      text: t("settings.disable"),
                      glyph: "close",
                      danger: true,
                      run: () => this.#able(user.name, false),
                    },
              ]),
        ].filter((item) => item !== false),
      { kind: "quiet", label: t("settings.actionsOf", { name: user.name }) },
    );
  }

  #controls(user) {
    const role = select(
      ROLES.map((one) => [one, t(`settings.role.${one}`)]),
      { value: user?.role || "member" },
    );
    const department = select([["", t("settings.department.none")], ...this.#departments.map((one) => [one, one])], {
      value: user?.department || "",
    });
    return { role, department };
  }

  async #add() {
    const name = h("input", {
      required: true,
      maxlength: "40",
      autocomplete: "off",
      spellcheck: "false",
      autocapitalize: "none",
      pattern: "[a-z0-9][a-z0-9._\\-]*",
      autofocus: true,
    });
    const { role, department } = this.#controls(null);
    const made = await formDialog(
      t("settings.users.add"),
      [
        field(t("settings.users.name"), name, { hint: t("settings.users.name.hint") }),
        field(t("settings.role"), role, { hint: t("settings.role.hint") }),
        field(t("settings.department"), department),
      ],
      {
        yes: t("settings.users.add"),
        send: () =>
          api.post("/users", { name: name.value.trim(), role: role.value, department: department.value || null }),
      },
    );
    if (!made) return;
    await this.show();
    await this.#link(made.name);
  }

  async #change(user) {
    const { role, department } = this.#controls(user);
    const limits = limitsField(user.limits);
    const changed = await formDialog(
      t("settings.users.changeOf", { name: user.name }),
      [
        field(t("settings.role"), role, { hint: t("settings.role.hint") }),
        field(t("settings.department"), department),
        group(t("settings.limits.own"), limits),
      ],
      {
        send: () => {
          const body = { department: department.value || null, limits: limits.values() };
          if (role.value !== user.role) body.role = role.value;
          return api.patch(`/users/${encodeURIComponent(user.name)}`, body);
        },
      },
    );
    if (!changed) return;
    toast(t("settings.saved"));
    await this.show();
  }

  async #link(name) {
    const link = await guarded(null, () => api.post(`/users/${encodeURIComponent(name)}/link`));
    if (!link) return;
    await shownOnce(
      t("settings.users.linkOf", { name }),
      t("settings.users.linkText"),
      new URL(link.path, location.origin).href,
    );
  }

  async #signOut(name) {
    const answer = await guarded(null, () => api.delete(`/users/${encodeURIComponent(name)}/sessions`));
    if (answer) toast(t("settings.users.ended", { n: answer.ended }));
  }

  async #able(name, isOn) {
    if (
      !isOn
      && !(await confirmed(t("settings.users.disableOf", { name }), t("settings.users.disableText"), {
        yes: t("settings.disable"),
        danger: true,
      }))
    )
      return;
    const done = await guarded(null, () =>
      api.post(`/users/${encodeURIComponent(name)}/${isOn ? "enable" : "disable"}`),
    );
    if (!done) return;
    if (!isOn)
      toast(t("settings.users.disabled", { name }), { action: { text: t("undo"), run: () => this.#able(name, true) } });
    await this.show();
  }
}

customElements.define("lt-settings-users", Users);

function stateOf(user) {
  if (user.disabled_at) return badge(t("settings.disabled"), "bad");
  if (user.has_single_sign_on) return badge(t("settings.users.sso"), "good");
  if (!user.has_password) return badge(t("settings.users.noPassword"), "warn");
  return badge(t("settings.active"), "good");
}

const own = (limits) => {
  const given = NAMES.filter((name) => limits[name] !== undefined);
  return given.length
    ? given.map((name) =>
        h("div", { class: "lt-small" }, `${t(`settings.limit.${name}`)}: ${limitText(name, limits[name])}`),
      )
    : h("span", { class: "lt-soft" }, t("settings.limit.asAll"));
};
