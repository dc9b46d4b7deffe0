// Who else may read the recording: a person, a department or everyone who signs in.

import { api } from "../core/api.js";
import { fill, h, newId } from "../core/dom.js";
import { day } from "../core/format.js";
import { button, copy, field, guarded, problemBox, select, spinner, toast, toastProblem } from "../core/parts.js";
import { icon } from "../core/icons.js";
import { t } from "../core/words.js";
import { dressed, on } from "./beside.js";

const DAYS = ["", "1", "7", "30", "90", "365"];
const DAY_MS = 86_400_000;
const GLYPHS = { user: "user", department: "people", everyone: "globe" };

export async function open(model, into) {
  await dressed();
  const panel = new Sharing(model, into);
  panel.draw();
  return () => panel.close();
}

class Sharing {
  constructor(model, into) {
    this.model = model;
    this.into = into;
    this.close = on(model, "recording", () => {
      if (this.isMine !== model.mayChange) this.draw();
    });
  }

  draw() {
    // Whoever reads it by a share sees nobody else's and gives it to nobody.
    this.isMine = this.model.mayChange;
    const withTime = h("input", { type: "checkbox" });
    const link = () => {
      const place = withTime.checked ? { t: Math.floor(this.model.time) } : {};
      return `${location.origin}/app/recordings?${new URLSearchParams({ id: this.model.id, ...place })}`;
    };
    this.list = h("div", {});
    fill(
      this.into,
      this.isMine ? this.form() : h("p", { class: "lt-note" }, t("panels.share.notMine")),
      this.list,
      h(
        "div",
        { class: "lt-panels-link" },
        h("h3", {}, t("panels.share.link")),
        h("p", { class: "lt-hint" }, t("panels.share.link.text")),
        h(
          "div",
          { class: "lt-row" },
          button(t("panels.share.copy"), () => copy(link()), { glyph: "copy" }),
          h("label", { class: "lt-panels-check" }, withTime, t("panels.share.withTime")),
        ),
      ),
    );
    if (this.isMine) this.load();
  }

  form() {
    const listId = newId();
    const names = h("datalist", { id: listId });
    const kind = select(
      ["user", "department", "everyone"].map((one) => [one, t(`panels.share.to.${one}`)]),
      { onchange: () => turn() },
    );
    const name = h("input", { type: "text", maxlength: 60, autocomplete: "off", list: listId });
    const named = field(t("panels.share.name"), name);
    const days = select(
      DAYS.map((one) => [
        one,
        one ? t(one === "1" ? "panels.share.day" : "panels.share.days", { n: one }) : t("panels.share.always"),
      ]),
    );
    const give = button(t("panels.share.give"), null, { kind: "primary", type: "submit", glyph: "share" });
    const turn = () => {
      named.hidden = kind.value === "everyone";
      fill(named.querySelector("label"), t(`panels.share.name.${kind.value === "department" ? "department" : "user"}`));
      const wanted = kind.value;
      this.known(wanted).then(
        (found) =>
          kind.value === wanted
          && fill(
            names,
            found.map((one) => h("option", { value: one })),
          ),
      );
    };
    const made = h(
      "form",
      {
        class: "lt-panels-shareForm",
        onsubmit: async (event) => {
          event.preventDefault();
          const who = name.value.trim();
          if (kind.value !== "everyone" && !who) {
            name.focus();
            return;
          }
          const to = kind.value === "everyone" ? "everyone" : { [kind.value]: who };
          const found = await guarded(give, () =>
            api.post(`/recordings/${this.model.id}/shares`, {
              to,
              expires_days: days.value ? Number(days.value) : null,
            }),
          );
          if (!found) return;
          name.value = "";
          toast(t("panels.share.given", { who: this.called(found) }));
          this.load();
        },
      },
      field(t("panels.share.with"), kind),
      named,
      names,
      field(t("panels.share.until"), days),
      give,
    );
    turn();
    return made;
  }

  /** Names to choose from, for who is told them; others know whom they mean. */
  async known(kind) {
    const { me } = this.model;
    try {
      if (kind === "department") return (await api.get("/departments")).items.map((one) => one.name);
      if (kind === "user" && ["manager", "admin"].includes(me?.role))
        return (await api.get("/users")).items.map((one) => one.name).filter((one) => one !== me.user);
    } catch (error) {
      toastProblem(error);
    }
    return [];
  }

  called(share) {
    return share.to_kind === "everyone" ? t("panels.share.to.everyone") : share.to_name;
  }

  async load() {
    if (!this.list.children.length) fill(this.list, spinner());
    try {
      const { items } = await api.get(`/recordings/${this.model.id}/shares`);
      fill(
        this.list,
        h("h3", {}, t("panels.share.now")),
        items.length
          ? h(
              "ul",
              { class: "lt-panels-shares" },
              items.map((one) => this.item(one)),
            )
          : h("p", { class: "lt-hint" }, t("panels.share.nobody")),
      );
    } catch (error) {
      fill(
        this.list,
        problemBox(error, () => {
          fill(this.list);
          this.load();
        }),
      );
    }
  }

  item(share) {
    return h(
      "li",
      { class: "lt-panels-shared" },
      icon(GLYPHS[share.to_kind]),
      h(
        "div",
        { class: "lt-grow" },
        h("strong", { class: "lt-panels-name" }, this.called(share)),
        h(
          "p",
          { class: "lt-soft lt-small" },
          [
            share.expires_at ? t("panels.share.ends", { day: day(share.expires_at) }) : t("panels.share.noEnd"),
            share.made_by && t("panels.share.by", { who: share.made_by }),
          ]
            .filter(Boolean)
            .join(" · "),
        ),
      ),
      button(t("panels.share.end"), (event) => this.stop(share, event.currentTarget), {
        kind: "quiet",
        label: t("panels.share.end.of", { who: this.called(share) }),
      }),
    );
  }

  async stop(share, control) {
    const gone = await guarded(control, () => api.delete(`/recordings/${this.model.id}/shares/${share.id}`));
    if (!gone) return;
    this.load();
    toast(t("panels.share.ended", { who: this.called(share) }), {
      action: {
        text: t("undo"),
        run: async () => {
          const left = gone.expires_at
            ? Math.max(1, Math.ceil((Date.parse(gone.expires_at) - Date.now()) / DAY_MS))
            : null;
          const to = gone.to_kind === "everyone" ? "everyone" : { [gone.to_kind]: gone.to_name };
          try {
            await api.post(`/recordings/${this.model.id}/shares`, { to, expires_days: left });
            this.load();
          } catch (error) {
            toastProblem(error);
          }
        },
      },
    });
  }
}
