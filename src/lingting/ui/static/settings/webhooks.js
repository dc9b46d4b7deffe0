// Webhooks: who is told what, what became of each message, and sending it again.

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { when } from "../core/format.js";
import { go } from "../core/main.js";
import { formDialog } from "../core/forms.js";
import { badge, button, confirmed, empty, field, guarded, menu, select, toast, toggle } from "../core/parts.js";
import { t } from "../core/words.js";
import { Section, checks, facts, group, heading, place, shownOnce, table } from "./section.js";

const EVENTS = [
  "job.queued",
  "job.started",
  "job.done",
  "job.failed",
  "job.cancelled",
  "batch.done",
  "recording.deleted",
  "recording.undone",
  "recording.purged",
  "transcript.corrected",
  "transcript.restored",
];
const PAGE = 50;
const eventText = (name) => t(`settings.event.${name}`);

class Webhooks extends Section {
  #state = "";

  get #asked() {
    return new URLSearchParams(location.search).get("webhook");
  }
  get #mayChange() {
    return this.who.scopes.includes("write") || this.who.scopes.includes("admin");
  }

  addressChanged() {
    this.connectedCallback();
  }

  async load() {
    const id = this.#asked;
    if (id) await this.#loadDeliveries(id);
    else await this.#loadAll();
  }

  async #loadAll() {
    const all = (await api.get("/webhooks")).items;
    if (this.#asked) return; // something else is looked at by now
    const add = () => button(t("settings.webhooks.add"), () => this.#edit(null), { kind: "primary", glyph: "plus" });
    fill(
      this,
      heading("webhooks", this.#mayChange && all.length > 0 && add()),
      all.length
        ? table(
            t("settings.webhooks"),
            [
              [
                t("settings.webhooks.url"),
                (hook) => [
                  h(
                    "a",
                    { class: "lt-settings-long", href: `/app/${place("webhooks", { webhook: hook.id })}` },
                    hook.url,
                  ),
                  hook.note && h("div", { class: "lt-soft lt-small" }, hook.note),
                ],
              ],
              [
                t("settings.webhooks.events"),
                (hook) =>
                  h(
                    "span",
                    { title: hook.events.map(eventText).join(", ") },
                    hook.events.length > 2
                      ? t("settings.webhooks.count", { n: hook.events.length })
                      : hook.events.map(eventText).join(", "),
                  ),
              ],
              [t("settings.webhooks.reach"), reachOf],
              [t("settings.state"), stateOf],
              ["", (hook) => this.#menu(hook), "lt-settings-end"],
            ],
            all,
          )
        : empty(t("settings.webhooks.none"), t("settings.webhooks.none.text"), this.#mayChange && add()),
    );
  }

  #menu(hook) {
    const may = this.#mayChange;
    const isOff = hook.disabled_at !== null;
    return menu(
      null,
      () =>
        [
          {
            text: t("settings.webhooks.deliveries"),
            glyph: "list",
            run: () => go(place("webhooks", { webhook: hook.id })),
          },
          may && !isOff && { text: t("settings.webhooks.test"), glyph: "play", run: () => this.#test(hook) },
          may && { text: t("settings.change"), glyph: "edit", run: () => this.#edit(hook) },
          may && { text: t("settings.webhooks.rotate"), glyph: "refresh", run: () => this.#rotate(hook) },
          may && {
            text: t(isOff ? "settings.enable" : "settings.disable"),
            glyph: isOff ? "check" : "close",
            run: () => this.#able(hook, isOff),
          },
          may && null,
          may && { text: t("delete"), glyph: "trash", danger: true, run: () => this.#delete(hook) },
        ].filter((item) => item !== false),
      { kind: "quiet", label: t("settings.actionsOf", { name: hook.url }) },
    );
  }

  async #edit(hook) {
    const isAdmin = this.who.scopes.includes("admin");
    const departments =
      isAdmin && !hook
        ? ((await guarded(null, () => api.get("/departments")))?.items || []).map((one) => one.name)
        : this.who.role === "manager" && this.who.department
          ? [this.who.department]
          : [];
    const url = h("input", {
      type: "url",
      required: true,
      maxlength: "2048",
      value: hook?.url || "",
      placeholder: "https://",
      autofocus: true,
    });
    const events = checks(
      EVENTS.map((one) => [one, eventText(one)]),
      hook?.events || ["job.done", "job.failed"],
    );
    const reach = select([
      ["own", t("settings.reach.own")],
      ...departments.map((one) => [`department:${one}`, t("settings.reach.department", { name: one })]),
      ...(isAdmin ? [["all", t("settings.reach.all")]] : []),
    ]);
    const text = toggle(t("settings.webhooks.text"), {
      checked: hook?.includes_text,
      hint: t("settings.webhooks.text.hint"),
    });
    const note = h("input", { maxlength: "200", value: hook?.note || "" });
    const body = () => ({
      url: url.value.trim(),
      events: events.values(),
      includes_text: text.querySelector("input").checked,
      note: note.value,
    });
    const reached = () =>
      reach.value.startsWith("department:")
        ? { reach: "department", department: reach.value.slice(11) }
        : { reach: reach.value };
    const made = await formDialog(
      t(hook ? "settings.webhooks.changeOne" : "settings.webhooks.add"),
      [
        field(t("settings.webhooks.url"), url, { hint: t("settings.webhooks.url.hint") }),
        group(t("settings.webhooks.events"), events),
        !hook && field(t("settings.webhooks.reach"), reach),
        text,
        field(t("settings.webhooks.note"), note),
      ],
      {
        yes: hook ? t("save") : t("settings.webhooks.add"),
        wide: true,
        send: () =>
          hook ? api.patch(`/webhooks/${hook.id}`, body()) : api.post("/webhooks", { ...body(), ...reached() }),
      },
    );
    if (!made) return;
    if (made.secret) await shownOnce(t("settings.webhooks.secret"), t("settings.webhooks.secretText"), made.secret);
    else toast(t("settings.saved"));
    await this.show();
  }

  async #test(hook) {
    if (!(await guarded(null, () => api.post(`/webhooks/${hook.id}/test`)))) return;
    toast(t("settings.webhooks.tested"));
    if (this.#asked === hook.id) this.show();
    else go(place("webhooks", { webhook: hook.id }));
  }

  async #rotate(hook) {
    if (
      !(await confirmed(t("settings.webhooks.rotateSure"), t("settings.webhooks.rotateText"), {
        yes: t("settings.webhooks.rotateYes"),
      }))
    )
      return;
    const made = await guarded(null, () => api.post(`/webhooks/${hook.id}/rotate`));
    if (made) await shownOnce(t("settings.webhooks.secret"), t("settings.webhooks.secretText"), made.secret);
  }

  async #able(hook, isOn) {
    if (!(await guarded(null, () => api.patch(`/webhooks/${hook.id}`, { is_active: isOn })))) return;
    if (!isOn)
      toast(t("settings.webhooks.disabled"), { action: { text: t("undo"), run: () => this.#able(hook, true) } });
    await this.show();
  }

  async #delete(hook) {
    if (
      !(await confirmed(t("settings.webhooks.deleteSure"), t("settings.webhooks.deleteText", { url: hook.url }), {
        yes: t("delete"),
        danger: true,
      }))
    )
      return;
    if (!(await guarded(null, () => api.delete(`/webhooks/${hook.id}`)))) return;
    toast(t("settings.webhooks.deleted"));
    if (this.#asked) go(place("webhooks"));
    else await this.show();
  }

  // Deliveries ----------------------------------------------------------------------------------

  async #loadDeliveries(id) {
    const state = this.#state;
    const [hook, first] = await Promise.all([
      api.get(`/webhooks/${id}`),
      api.get(`/webhooks/${id}/deliveries`, { limit: PAGE, state }),
    ]);
    if (this.#asked !== id || this.#state !== state) return;
    const list = h("div", {});
    const may = this.#mayChange;
    const states = select(
      [
        ["", t("settings.webhooks.all")],
        ...["pending", "done", "failed"].map((one) => [one, t(`settings.delivery.${one}`)]),
      ],
      {
        value: state,
        "aria-label": t("settings.state"),
        onchange: (event) => {
          this.#state = event.target.value;
          this.show();
        },
      },
    );
    fill(
      this,
      h("p", {}, h("a", { href: `/app/${place("webhooks")}` }, t("settings.webhooks.back"))),
      h(
        "div",
        { class: "lt-top" },
        h(
          "div",
          { class: "lt-settings-about" },
          h("h2", {}, t("settings.webhooks.deliveries")),
          h("p", { class: "lt-settings-long" }, hook.url),
        ),
        may
          && h(
            "div",
            { class: "lt-row" },
            hook.disabled_at === null
              && button(t("settings.webhooks.test"), (event) => guarded(event.currentTarget, () => this.#test(hook)), {
                glyph: "play",
              }),
            button(t("settings.webhooks.replayAll"), (event) => this.#replay(event.currentTarget, id, null), {
              glyph: "refresh",
            }),
            this.#menu(hook),
          ),
      ),
      h(
        "div",
        { class: "lt-card" },
        facts([
          [t("settings.state"), stateOf(hook)],
          [t("settings.webhooks.reach"), reachOf(hook)],
          [t("settings.webhooks.events"), hook.events.map(eventText).join(", ")],
          [t("settings.webhooks.text"), t(hook.includes_text ? "yes" : "settings.no")],
          hook.old_secret_until && [t("settings.webhooks.oldUntil"), when(hook.old_secret_until)],
        ]),
      ),
      h("div", { class: "lt-settings-filter" }, field(t("settings.webhooks.shown"), states)),
      list,
    );
    this.#draw(list, hook, [first]);
    if (first.items.some((one) => one.state === "pending")) {
      this.every(2000, async () => {
        const now = await api.get(`/webhooks/${id}/deliveries`, { limit: PAGE, state });
        if (!list.isConnected) return;
        // What somebody has opened to read stays as it is, and so does what was asked for beyond the first page.
        if (!list.querySelector("details[open]") && list.querySelectorAll("tbody tr").length <= PAGE)
          this.#draw(list, hook, [now]);
        if (!now.items.some((one) => one.state === "pending")) this.rest();
      });
    }
  }

  #draw(list, hook, drawn) {
    const all = drawn.flatMap((page) => page.items);
    const next = drawn.at(-1).next;
    if (!all.length) return fill(list, empty(t("settings.deliveries.none"), t("settings.deliveries.none.text")));
    return fill(
      list,
      table(
        t("settings.webhooks.deliveries"),
        [
          [t("settings.when"), (one) => when(one.at)],
          [t("settings.webhooks.event"), (one) => eventText(one.kind)],
          [
            t("settings.state"),
            (one) =>
              badge(t(`settings.delivery.${one.state}`), { done: "good", failed: "bad", pending: "busy" }[one.state]),
          ],
          [t("settings.webhooks.attempts"), attemptsOf],
          [
            "",
            (one) =>
              this.#mayChange
              && one.state !== "pending"
              && button(t("settings.webhooks.replay"), (event) => this.#replay(event.currentTarget, hook.id, one.id), {
                kind: "quiet",
              }),
            "lt-settings-end",
          ],
        ],
        all,
      ),
      next !== null
        && button(t("settings.more"), async (event) => {
          const page = await guarded(event.currentTarget, () =>
            api.get(`/webhooks/${hook.id}/deliveries`, { limit: PAGE, state: this.#state, before: next }),
          );
          if (page) this.#draw(list, hook, [...drawn, page]);
        }),
    );
  }

  async #replay(control, id, delivery) {
    const path = delivery === null ? `/webhooks/${id}/replay` : `/webhooks/${id}/deliveries/${delivery}/replay`;
    const done = await guarded(control, () => api.post(path));
    if (!done) return;
    toast(
      done.deliveries ? t("settings.webhooks.replayed", { n: done.deliveries }) : t("settings.webhooks.noneFailed"),
    );
    await this.show();
  }
}

customElements.define("lt-settings-webhooks", Webhooks);

function reachOf(hook) {
  if (hook.reach === "department") return t("settings.reach.department", { name: hook.department });
  return hook.reach === "all" ? t("settings.reach.all") : t("settings.reach.ownOf", { name: hook.owner });
}

function stateOf(hook) {
  if (hook.disabled_at) return badge(t(`settings.webhooks.disabledFor.${hook.disabled_for || "user"}`), "bad");
  if (hook.failing_since) return badge(t("settings.webhooks.failing", { when: when(hook.failing_since) }), "warn");
  return badge(t("settings.active"), "good");
}

/** How often it was tried, and what came of each, to open. */
function attemptsOf(one) {
  if (!one.log.length) return one.next_at ? t("settings.webhooks.nextAt", { when: when(one.next_at) }) : "–";
  const told = (attempt) =>
    attempt.status ? `HTTP ${attempt.status}` : attempt.error || t("settings.webhooks.noAnswer");
  return h(
    "details",
    {},
    h("summary", {}, t("settings.webhooks.tried", { n: one.attempts, last: told(one.log.at(-1)) })),
    h(
      "ol",
      { class: "lt-settings-log" },
      one.log.map((attempt) => h("li", {}, `${when(attempt.at)} · ${told(attempt)} · ${attempt.took_ms} ms`)),
    ),
    one.next_at && h("p", { class: "lt-small lt-soft" }, t("settings.webhooks.nextAt", { when: when(one.next_at) })),
  );
}
