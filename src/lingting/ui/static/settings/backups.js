// Backups: made, read back, taken away, removed.

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { number, size, when } from "../core/format.js";
import { badge, button, confirmed, empty, guarded, menu, toast } from "../core/parts.js";
import { has, t } from "../core/words.js";
import { Section, heading, table } from "./section.js";

const QUICK_MS = 2000;
const SLOW_MS = 10_000;
const isMoving = (one) => ["making", "verifying"].includes(one.state);

class Backups extends Section {
  #list = h("div", {});
  #seen = "";

  async load() {
    const now = await api.get("/backups");
    fill(
      this,
      heading(
        "backups",
        button(t("settings.backups.make"), (event) => this.#make(event.currentTarget), {
          kind: "primary",
          glyph: "plus",
        }),
      ),
      this.#list,
    );
    this.#seen = "";
    this.#draw(now);
  }

  /** Looked at more often while one is being made. */
  #draw(now) {
    this.every(now.items.some(isMoving) ? QUICK_MS : SLOW_MS, async () => this.#draw(await api.get("/backups")));
    const seen = JSON.stringify(now);
    if (seen === this.#seen || this.#list.querySelector("[role=menu]:not([hidden])")) return;
    this.#seen = seen;
    fill(
      this.#list,
      now.items.length
        ? table(
            t("settings.backups"),
            [
              [t("settings.backups.made"), (one) => when(one.created_at)],
              [t("settings.state"), stateOf],
              [t("settings.backups.size"), (one) => h("span", { class: "lt-number" }, size(one.size_bytes))],
              [
                t("settings.backups.holds"),
                (one) => (one.recordings === null ? "–" : t("settings.backups.count", { n: number(one.recordings) })),
              ],
              ["", (one) => this.#actions(one), "lt-settings-end"],
            ],
            now.items,
          )
        : empty(t("settings.backups.none"), t("settings.backups.none.text")),
      h(
        "p",
        { class: "lt-soft lt-small" },
        t("settings.backups.free", { size: size(now.folder_free_bytes) }),
        " ",
        t("settings.backups.restore"),
        " ",
        h("code", {}, "lingting restore lingting-….tar"),
      ),
    );
  }

  #actions(one) {
    if (isMoving(one)) return h("span", { class: "lt-spinner lt-settings-busy", "aria-hidden": "true" });
    return menu(
      null,
      () =>
        [
          one.state === "done" && { text: t("settings.backups.download"), glyph: "download", run: () => take(one) },
          one.state === "done" && {
            text: t("settings.backups.verify"),
            glyph: "check",
            run: () => this.#do(() => api.post(`/backups/${one.name}/verify`)),
          },
          { text: t("delete"), glyph: "trash", danger: true, run: () => this.#delete(one) },
        ].filter(Boolean),
      { kind: "quiet", label: t("settings.actionsOf", { name: one.name }) },
    );
  }

  async #do(work) {
    const done = await guarded(null, async () => {
      await work();
      return true;
    });
    if (done) await this.#again();
    return done;
  }

  #again() {
    return guarded(null, async () => this.#draw(await api.get("/backups")));
  }

  async #make(control) {
    if (await guarded(control, () => api.post("/backups"))) {
      toast(t("settings.backups.begun"));
      await this.#again();
    }
  }

  async #delete(one) {
    if (
      !(await confirmed(
        t("settings.backups.deleteSure"),
        t("settings.backups.deleteText", { when: when(one.created_at) }),
        { yes: t("delete"), danger: true },
      ))
    )
      return;
    if (await this.#do(() => api.delete(`/backups/${one.name}`))) toast(t("settings.backups.deleted"));
  }
}

customElements.define("lt-settings-backups", Backups);

/** The browser saves it as it comes: it may be larger than its memory. */
function take(one) {
  const link = h("a", { href: api.address(`/backups/${one.name}/file`), download: one.name });
  document.body.append(link);
  link.click();
  link.remove();
}

function stateOf(one) {
  if (isMoving(one)) return badge(t(`settings.backups.${one.state}`), "busy");
  if (one.state === "failed")
    return [
      badge(t("settings.delivery.failed"), "bad"),
      " ",
      h(
        "span",
        { class: "lt-small" },
        has(`error.${one.error}`) ? t(`error.${one.error}`, { message: one.error }) : one.error || "",
      ),
    ];
  const lost = one.lost_blobs ? [" ", badge(t("settings.backups.lost", { n: one.lost_blobs }), "warn")] : null;
  if (one.verified === null) return [badge(t("settings.backups.unread")), lost];
  return [
    badge(t(one.verified ? "settings.backups.verified" : "settings.backups.damaged"), one.verified ? "good" : "bad"),
    lost,
  ];
}
