// The history: everything that one may see, to look through, narrow, search and put in order.
// With ?id=… it shows one recording; the list stays behind it as it was.

import words from "../words/recordings.js";
import { api, listen } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { number } from "../core/format.js";
import { icon } from "../core/icons.js";
import { go, me, style, unloaded } from "../core/main.js";
import { button, empty, problemBox, select, spinner, toastProblem } from "../core/parts.js";
import { learn, t } from "../core/words.js";
import { ORDERS, VIEWS, filtersIn, listOf, pathOf, readAsked, searchOf, without } from "../history/asked.js";
import { chips, filterPanel } from "../history/filters.js";
import { foundCard, namedCard } from "../history/found.js";
import * as many from "../history/many.js";
import { recordingRow } from "../history/row.js";
import { Rows } from "../history/rows.js";

learn(words);

const PAGE = 100;
const HITS = 20;
const PUT_TOGETHER_MS = 700;
const STATE_OF = {
  "job.queued": "queued",
  "job.started": "running",
  "job.progress": "running",
  "job.paused": "paused",
  "job.resumed": "queued",
  "job.failed": "failed",
  "job.cancelled": "cancelled",
};

class Recordings extends HTMLElement {
  connectedCallback() {
    this.selected = new Set();
    this.next = null;
    this.latest = 0;
    this.scopes = [];
    this.stale = new Set();
    this.build();
    me.then(
      (who) => {
        this.scopes = who.scopes;
        this.drawBar();
      },
      () => {},
    );
    this.stopListening = listen((event) => this.heard(event));
    this.addressChanged();
  }

  disconnectedCallback() {
    this.stopListening();
    clearTimeout(this.lookLater);
    this.watching.disconnect();
    this.stopLoading?.abort();
    this.rows.stop();
    removeEventListener("keydown", this.pressed);
  }

  // What is on the page ---------------------------------------------------------------------------

  build() {
    this.rows = new Rows((item) => recordingRow(item, this), t("page.recordings"));
    this.panel = filterPanel((asked) => this.ask(asked));
    this.tabs = h(
      "div",
      { class: "lt-tabs", role: "tablist", "aria-label": t("recordings.view") },
      VIEWS.map((view) =>
        h(
          "button",
          {
            type: "button",
            role: "tab",
            "aria-controls": "lt-recordings-list",
            dataset: { view },
            onclick: () =>
              this.ask({
                ...without(this.asked, filtersIn(this.asked)),
                view,
                q: view === "deleted" ? "" : this.asked.q,
              }),
          },
          t(`recordings.view.${view}`),
        ),
      ),
    );
    this.tabs.addEventListener("keydown", (event) => {
      const at = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!at) return;
      const all = [...this.tabs.children];
      const to = all[(all.indexOf(document.activeElement) + at + all.length) % all.length];
      to.focus();
      to.click();
    });
    this.query = h("input", {
      type: "search",
      id: "lt-recordings-query",
      maxlength: 200,
      placeholder: t("recordings.search.hint"),
      "aria-label": t("recordings.search"),
      autocomplete: "off",
      enterkeyhint: "search",
    });
    this.bySound = h("input", {
      type: "checkbox",
      id: "lt-recordings-sound",
      onchange: () => this.asked.q && this.search(),
    });
    // A cleared field is a search for nothing.
    this.query.addEventListener("input", () => {
      if (!this.query.value && this.asked.q) this.search();
    });
    this.form = h(
      "form",
      {
        class: "lt-recordings-search",
        role: "search",
        onsubmit: (event) => {
          event.preventDefault();
          this.search();
        },
      },
      h("div", { class: "lt-recordings-query" }, icon("search"), this.query),
      h(
        "label",
        { class: "lt-recordings-check", title: t("recordings.sound.hint") },
        this.bySound,
        t("recordings.sound"),
      ),
      button(t("recordings.search.go"), null, { type: "submit" }),
    );
    this.opener = button(t("recordings.filters"), () => this.openFilters(!this.isOpen), {
      glyph: "filter",
      "aria-expanded": "false",
      "aria-controls": "lt-recordings-filters",
    });
    this.panel.element.id = "lt-recordings-filters";
    this.panel.element.hidden = true;
    this.order = select(
      ORDERS.map((one) => [one, t(`recordings.order.${one}`)]),
      { onchange: () => this.ask({ ...this.asked, order: this.order.value }), "aria-label": t("recordings.order") },
    );
    this.facts = h("p", { role: "status" });
    this.chips = h("div");
    this.bar = h("div", {
      class: "lt-recordings-bar",
      role: "toolbar",
      "aria-label": t("recordings.withSelected"),
      hidden: true,
    });
    this.all = h("input", {
      type: "checkbox",
      "aria-label": t("recordings.selectAll"),
      onchange: () => this.selectAll(this.all.checked),
    });
    this.head = h(
      "div",
      { class: "lt-recordings-head" },
      h("label", { class: "lt-recordings-tick" }, this.all),
      ["name", "state", "language", "length", "kept", "owner"].map((name) =>
        h("div", { class: `lt-recordings-of-${name}`, "aria-hidden": "true" }, t(`recordings.${name}`)),
      ),
    );
    this.said = h("div", { class: "lt-recordings-results" });
    this.below = h("div", { class: "lt-recordings-foot" });
    this.watching = new IntersectionObserver(
      (seen) => {
        if (seen.some((one) => one.isIntersecting)) this.more();
      },
      { rootMargin: "1500px 0px" },
    );
    this.list = h(
      "div",
      { class: "lt-recordings" },
      h(
        "div",
        { class: "lt-top" },
        h("div", {}, h("h1", {}, t("page.recordings")), this.facts),
        h("a", { class: "lt-button lt-primary", href: "/app/" }, icon("upload"), h("span", {}, t("page.transcribe"))),
      ),
      this.tabs,
      h("div", { class: "lt-recordings-tools" }, this.form, this.opener, this.order),
      this.panel.element,
      this.chips,
      h(
        "div",
        { id: "lt-recordings-list", role: "tabpanel", "aria-label": t("page.recordings") },
        this.bar,
        this.head,
        this.rows.element,
        this.said,
        this.below,
      ),
    );
    this.view = h("div");
    fill(this, this.list);
    this.pressed = (event) => {
      if (event.key !== "/" || this.isShowing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.("input, textarea, select, dialog, [contenteditable]")) return;
      event.preventDefault();
      this.query.focus();
    };
    addEventListener("keydown", this.pressed);
  }

  openFilters(isOpen) {
    this.isOpen = isOpen;
    this.panel.element.hidden = !isOpen;
    this.opener.setAttribute("aria-expanded", String(isOpen));
  }

  // The address -----------------------------------------------------------------------------------

  addressChanged() {
    const id = new URLSearchParams(location.search).get("id");
    if (id) return this.show(id);
    if (this.isShowing) this.back();
    const asked = readAsked();
    if (new URLSearchParams(location.search).has("q")) history.replaceState(history.state, "", `/app/${pathOf(asked)}`);
    if (this.asked && pathOf(asked) === pathOf(this.asked)) return undefined;
    const before = this.asked;
    this.asked = asked;
    // What is typed there and not searched yet stays, whatever is narrowed meanwhile.
    if (asked.q !== before?.q) this.query.value = asked.q;
    this.drawAsked();
    if (asked.view !== before?.view) this.loadFacets();
    return this.load();
  }

  ask(asked) {
    go(pathOf(asked));
  }

  search() {
    const q = this.query.value.trim();
    this.ask({ ...this.asked, q, match: this.bySound.checked ? "sound" : "text" });
  }

  narrow(given) {
    this.ask({ ...this.asked, ...given });
  }

  // One recording, with the list behind it --------------------------------------------------------

  async show(id) {
    if (!this.isShowing) {
      this.scrolled = scrollY;
      fill(this, this.view);
    }
    this.seen = id;
    if (this.opened) return this.opened.addressChanged?.();
    const waiting = setTimeout(() => fill(this.view, spinner()), 150);
    try {
      await Promise.all([import("./recording.js"), style("recording")]);
      if (!this.isShowing || this.opened) return undefined;
      this.opened = h("lt-recording");
      fill(this.view, this.opened);
    } catch (error) {
      await unloaded(error);
      fill(
        this.view,
        problemBox({ code: "page", message: t("error.load") }, () => location.reload()),
      );
    } finally {
      clearTimeout(waiting);
    }
    return undefined;
  }

  /** One recording is there instead of the list, which is kept as it was. */
  get isShowing() {
    return this.view.isConnected;
  }

  back() {
    fill(this.view);
    this.opened = null;
    fill(this, this.list);
    if (this.seen && this.rows.has(this.seen)) this.look(this.seen);
    const to = this.scrolled || 0;
    scrollTo(0, to);
    // A browser that goes back scrolls by itself, after this.
    requestAnimationFrame(() => {
      if (!this.isShowing) scrollTo(0, to);
    });
  }

  // Loading ---------------------------------------------------------------------------------------

  drawAsked() {
    const { asked } = this;
    for (const tab of this.tabs.children) {
      const isOn = tab.dataset.view === asked.view;
      tab.setAttribute("aria-selected", String(isOn));
      tab.tabIndex = isOn ? 0 : -1;
    }
    this.bySound.checked = asked.match === "sound";
    this.form.hidden = asked.view === "deleted";
    this.order.value = asked.order;
    this.order.hidden = Boolean(asked.q);
    this.panel.show(asked, this.facets);
    const set = filtersIn(asked).length;
    fill(this.opener.querySelector("span"), set ? t("recordings.filters.set", { n: set }) : t("recordings.filters"));
    fill(
      this.chips,
      chips(asked, (given) => this.ask(given)),
    );
    this.classList.toggle("lt-recordings-searching", Boolean(asked.q));
  }

  async loadFacets() {
    const { view } = this.asked;
    try {
      const facets = await api.get("/recordings/facets", { shared: view === "shared" ? true : null });
      if (view !== this.asked.view) return;
      this.facets = facets;
      this.panel.show(this.asked, facets);
      this.classList.toggle("lt-recordings-of-one", this.facets.owners.items.length < 2);
    } catch (error) {
      toastProblem(error);
    }
  }

  /** From the beginning. What is above the list stays till then: whoever clicks there hits what they aim at. */
  async load() {
    this.latest += 1;
    this.stopLoading?.abort();
    this.isLoading = false;
    this.next = null;
    this.selected.clear();
    this.rows.set([]);
    fill(this.said);
    this.drawBar();
    this.hasBegun = false;
    return this.more();
  }

  async more() {
    if (this.isLoading || (this.hasBegun && this.next === null)) return;
    const { latest, asked } = this;
    const isFirst = !this.hasBegun;
    this.isLoading = true;
    this.stopLoading = new AbortController();
    const { signal } = this.stopLoading;
    this.watching.disconnect();
    const waiting = setTimeout(() => fill(this.below, spinner()), isFirst ? 150 : 0);
    try {
      const page = asked.q
        ? await api.post("/search", { ...searchOf(asked), hits: HITS, after: this.next }, { signal })
        : await api.get(
            "/recordings",
            { ...listOf(asked), limit: PAGE, after: this.next, count: isFirst ? true : null },
            { signal },
          );
      if (latest !== this.latest) return;
      this.hasBegun = true;
      this.next = page.next;
      if (asked.q) this.drawFound(page);
      else this.rows.set([...this.rows.items, ...page.items.filter((item) => !this.rows.has(item.id))]);
      if (isFirst) this.drawFacts(page);
      this.isLoading = false;
      this.drawFoot(page);
      this.drawBar();
    } catch (error) {
      if (latest !== this.latest || error.name === "AbortError") return;
      this.isLoading = false;
      if (isFirst) fill(this.facts);
      fill(
        this.below,
        problemBox(error, () => {
          fill(this.below);
          this.more();
        }),
      );
    } finally {
      clearTimeout(waiting);
    }
  }

  drawFound(page) {
    if (page.named.length) this.said.append(namedCard(page.named));
    if (page.read_as === "words" && !this.said.querySelector("article"))
      this.said.append(h("p", { class: "lt-note" }, t("recordings.asWords")));
    this.said.append(...page.items.map(foundCard));
  }

  drawFacts(page) {
    const { asked } = this;
    const n = page.count === null ? "" : `${number(page.count)}${page.is_count_capped ? "+" : ""}`;
    this.counted = page.is_count_capped ? null : page.count;
    const key = asked.q ? "recordings.facts.found" : "recordings.facts";
    fill(this.facts, page.count > 0 && t(page.count === 1 ? `${key}.one` : key, { n }));
  }

  drawFoot(page) {
    fill(this.below);
    if (this.next !== null) {
      this.below.append(
        button(t(page.is_complete === false ? "recordings.goOn" : "recordings.more"), () => this.more()),
      );
      // What stopped at its limit of work goes on when it is asked to.
      if (page.is_complete !== false || page.items.length) this.watching.observe(this.below);
      return;
    }
    const isNothing = this.asked.q ? !this.said.children.length : !this.rows.items.length;
    if (isNothing) this.below.append(this.nothing(page));
  }

  nothing(page) {
    const { asked } = this;
    const set = filtersIn(asked);
    const clear = set.length > 0 && button(t("recordings.takeAllAway"), () => this.ask(without(asked, set)));
    if (asked.q) {
      return empty(
        t("recordings.none.found"),
        t(page?.is_complete === false ? "recordings.none.found.unfinished" : "recordings.none.found.text"),
        clear,
        asked.match === "text"
          && button(t("recordings.none.found.sound"), () => this.ask({ ...asked, match: "sound" })),
        button(t("recordings.none.found.list"), () => this.ask({ ...asked, q: "" })),
      );
    }
    if (clear) return empty(t("recordings.none.filtered"), t("recordings.none.filtered.text"), clear);
    if (asked.view !== "all")
      return empty(
        t(`recordings.none.${asked.view}`),
        t(`recordings.none.${asked.view}.text`),
        button(t("recordings.none.all"), () => this.ask({ ...asked, view: "all" })),
      );
    return empty(
      t("recordings.none"),
      t("recordings.none.text"),
      h("a", { class: "lt-button lt-primary", href: "/app/" }, icon("upload"), h("span", {}, t("recordings.none.go"))),
    );
  }

  // What happens meanwhile ------------------------------------------------------------------------

  heard(event) {
    if (!this.hasBegun || this.asked?.q) return;
    const item = event.job_id && this.rows.items.find((one) => one.job?.id === event.job_id);
    if (!item) {
      if (event.kind === "job.queued" || event.kind === "job.done") this.lookSoon();
      return;
    }
    const state = STATE_OF[event.kind];
    if (state && event.kind !== "job.failed") {
      const { done_s = item.job.done_s, total_s = item.job.total_s } = event.data;
      this.rows.update({ ...item, job: { ...item.job, state, done_s, total_s } });
    } else this.lookSoon(item.id);
  }

  /** Many events become few questions. */
  lookSoon(id = null) {
    if (id) this.stale.add(id);
    else this.isBehind = true;
    this.lookLater ||= setTimeout(async () => {
      this.lookLater = 0;
      const ids = [...this.stale];
      this.stale.clear();
      if (this.isBehind || ids.length > 20) await this.lookAtTop();
      for (const one of ids) if (this.isConnected) await this.look(one);
    }, PUT_TOGETHER_MS);
  }

  /** What one recording is now. */
  async look(id) {
    try {
      const item = await api.get(`/recordings/${id}`);
      if (!this.rows.has(id)) return;
      if (Boolean(item.deleted_at) !== (this.asked.view === "deleted")) this.gone([id]);
      else this.rows.update(item);
    } catch (error) {
      if (error.status !== 404) {
        if (!error.isOffline) toastProblem(error);
      } else if (this.rows.has(id)) this.gone([id]);
    }
  }

  /** What is new stands above; what was there stays where it is. */
  async lookAtTop() {
    this.isBehind = false;
    const { latest, asked } = this;
    if (asked.q || asked.view !== "all" || asked.order !== "newest") return;
    try {
      const page = await api.get("/recordings", { ...listOf(asked), limit: PAGE, count: true });
      if (latest !== this.latest) return;
      const fresh = page.items.filter((item) => !this.rows.has(item.id));
      const now = new Map(page.items.map((item) => [item.id, item]));
      const before = this.rows.items;
      // A whole page of new ones may have others behind it.
      if (fresh.length === PAGE) {
        await this.load();
        return;
      }
      this.rows.set([...fresh, ...before.map((item) => now.get(item.id) || item)]);
      if (!before.length) {
        this.next = page.next;
        this.drawFoot(page);
      }
      this.drawFacts(page);
      this.drawBar();
    } catch (error) {
      if (!error.isOffline) toastProblem(error);
    }
  }

  gone(ids) {
    this.rows.remove(ids);
    for (const id of ids) this.selected.delete(id);
    this.counted = this.counted === null || this.counted === undefined ? null : Math.max(0, this.counted - ids.length);
    if (this.counted !== null) this.drawFacts({ count: this.counted, is_count_capped: false });
    if (!this.rows.items.length && this.next === null && !this.asked.q) this.drawFoot({ items: [] });
    this.drawBar();
  }

  // Selection and what is done with it -----------------------------------------------------------

  isSelected(id) {
    return this.selected.has(id);
  }

  select(id, isOn, isRange) {
    const { items, places } = this.rows;
    const [from, to] = [
      isRange && this.last ? (places.get(this.last) ?? places.get(id)) : places.get(id),
      places.get(id),
    ].sort((a, b) => a - b);
    for (let at = from; at <= to; at += 1) this.selected[isOn ? "add" : "delete"](items[at].id);
    this.last = id;
    if (from !== to) this.rows.refresh();
    else this.rows.update(this.rows.get(id));
    this.drawBar();
  }

  selectAll(isOn) {
    this.selected = new Set(isOn ? this.rows.items.map((item) => item.id) : []);
    this.rows.refresh();
    this.drawBar();
  }

  chosen() {
    return this.rows.items.filter((item) => this.selected.has(item.id));
  }

  drawBar() {
    const n = this.selected.size;
    const total = this.rows.items.length;
    this.head.hidden = total === 0;
    this.all.checked = n > 0 && n === total;
    this.all.indeterminate = n > 0 && n < total;
    this.bar.hidden = n === 0;
    if (!n) {
      this.barOf = null;
      return;
    }
    const may = this.scopes.includes("write") && this.asked.view !== "shared";
    const barOf = `${may} ${this.asked.view}`;
    if (this.barOf !== barOf) {
      this.barOf = barOf;
      this.told = h("span", { class: "lt-recordings-chosen", role: "status" });
      const isDeleted = this.asked.view === "deleted";
      fill(
        this.bar,
        this.told,
        !isDeleted
          && button(
            t("recordings.export"),
            this.acting(() => many.exported([...this.selected])),
            { glyph: "download" },
          ),
        may
          && !isDeleted && [
            button(
              t("recordings.tag"),
              this.acting(() =>
                many.tag(this.chosen(), this.tagNames(), { after: (...given) => this.retagged(...given) }),
              ),
              { glyph: "tag" },
            ),
            button(
              t("recordings.untag"),
              this.acting(() => many.untag(this.chosen(), { after: (...given) => this.retagged(...given) })),
            ),
            button(
              t("delete"),
              this.acting(() => this.remove([...this.selected])),
              { kind: "danger", glyph: "trash" },
            ),
          ],
        may
          && isDeleted && [
            button(
              t("recordings.restore"),
              this.acting(() => many.restored([...this.selected], { after: (ids) => this.gone(ids) })),
              { glyph: "undo" },
            ),
            button(
              t("recordings.purge"),
              this.acting(() => many.purge([...this.selected], { after: (ids) => this.gone(ids) })),
              { kind: "danger", glyph: "trash" },
            ),
          ],
        button(t("recordings.selectNone"), () => this.selectAll(false), { kind: "quiet" }),
      );
    }
    const told = t("recordings.chosen", { n: number(n) });
    if (this.told.textContent !== told) fill(this.told, told);
  }

  /** One thing after another: a second click is no second order. */
  acting(work) {
    return async () => {
      if (this.isActing) return;
      this.isActing = true;
      try {
        await work();
      } catch (error) {
        toastProblem(error);
      } finally {
        this.isActing = false;
      }
    };
  }

  actions(item) {
    const may = this.scopes.includes("write") && this.asked.view !== "shared";
    if (item.deleted_at) {
      return may
        ? [
            {
              text: t("recordings.restore"),
              glyph: "undo",
              run: this.acting(() => many.restored([item.id], { after: (ids) => this.gone(ids) })),
            },
            {
              text: t("recordings.purge"),
              glyph: "trash",
              danger: true,
              run: this.acting(() => many.purge([item.id], { after: (ids) => this.gone(ids) })),
            },
          ]
        : [{ text: t("recordings.nothingToDo"), run: () => {} }];
    }
    return [
      {
        text: t("recordings.open"),
        glyph: "play",
        run: () => {
          go(`recordings?${new URLSearchParams({ id: item.id })}`);
          scrollTo(0, 0);
        },
      },
      { text: t("recordings.export"), glyph: "download", run: this.acting(() => many.exported([item.id])) },
      ...(may
        ? [
            {
              text: t("recordings.rename"),
              glyph: "edit",
              run: this.acting(() => many.rename(item, { after: (now) => this.rows.update(now) })),
            },
            {
              text: t("recordings.tag"),
              glyph: "tag",
              run: this.acting(() =>
                many.tag([item], this.tagNames(), { after: (...given) => this.retagged(...given) }),
              ),
            },
            ...(item.tags.length
              ? [
                  {
                    text: t("recordings.untag"),
                    glyph: "tag",
                    run: this.acting(() => many.untag([item], { after: (...given) => this.retagged(...given) })),
                  },
                ]
              : []),
            null,
            { text: t("delete"), glyph: "trash", danger: true, run: this.acting(() => this.remove([item.id])) },
          ]
        : []),
    ];
  }

  tagNames() {
    return (this.facets?.tags.items || []).map((one) => one.value);
  }

  retagged(ids, change) {
    for (const id of ids) {
      const item = this.rows.get(id);
      if (item) this.rows.update({ ...item, tags: change(item.tags) });
    }
    this.loadFacets();
  }

  remove(ids) {
    const before = this.rows.items;
    const { latest } = this;
    return many.remove(ids, {
      after: (done) => this.gone(done),
      back: (done) => {
        // Where they were, unless something else is listed by now.
        if (latest !== this.latest || this.asked.q) {
          this.load();
          return;
        }
        const { items } = this.rows;
        const back = new Set(done);
        const known = new Set(before.map((item) => item.id));
        const now = new Map(items.map((item) => [item.id, item]));
        const first = Math.max(
          0,
          items.findIndex((item) => known.has(item.id)),
        );
        this.rows.set([
          ...items.slice(0, first),
          ...before.filter((item) => back.has(item.id) || now.has(item.id)).map((item) => now.get(item.id) || item),
          ...items.slice(first).filter((item) => !known.has(item.id)),
        ]);
        if (this.counted !== null) this.drawFacts({ count: this.counted + done.length, is_count_capped: false });
        if (this.next === null) fill(this.below);
        this.drawBar();
      },
    });
  }
}

customElements.define("lt-recordings", Recordings);
