// Batches: many files with the same options, looked after together.

import batchWords from "../words/batch.js";
import { ApiError, api, listen, pages } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { FORMATS, download } from "../core/download.js";
import { about, clock, day, percent, size, when } from "../core/format.js";
import { icon } from "../core/icons.js";
import { LiveJobs, isFinished, shareOf } from "../core/jobs.js";
import { go, me } from "../core/main.js";
import { fieldsOf, optionsPanel, storedOptions } from "../core/options.js";
import {
  badge,
  button,
  dialog,
  droppable,
  empty,
  field,
  guarded,
  menu,
  problem,
  problemBox,
  progress,
  select,
  spinner,
  stateBadge,
  toast,
  toastProblem,
  toggle,
} from "../core/parts.js";
import { ACCEPT, Queue, chosen, dropped, newKey, sorted, stateText } from "../core/upload.js";
import { learn, t } from "../core/words.js";
import { Window } from "../core/window.js";

learn(batchWords);

const ROW_PX = 62;
const PAGE = 30;
const REFRESH_MS = 2500;
const TOTALS_MS = 250;
const ZIP = "lingting.batch.zip";

// Files on their way, by batch: sending goes on while something else is looked at.
const queues = new Map();

function queueOf(id) {
  if (!queues.has(id)) queues.set(id, new Queue());
  return queues.get(id);
}

const sumOf = (counts) => Object.values(counts).reduce((sum, one) => sum + one, 0);
const overOf = (counts) => ["done", "failed", "cancelled"].reduce((sum, state) => sum + (counts[state] || 0), 0);

/** Choose and drop files; `taken([{file, path}])`. */
function picker(taken) {
  const take = (found) => {
    const { good, told } = sorted(found);
    for (const text of told) toast(text, { kind: "error" });
    if (good.length) taken(good);
  };
  const input = (label, more) =>
    h("input", {
      type: "file",
      hidden: true,
      tabindex: -1,
      "aria-label": label,
      ...more,
      onchange: ({ target }) => {
        take(chosen(target));
        target.value = "";
      },
    });
  const files = input(t("upload.choose"), { multiple: true, accept: ACCEPT });
  const folder = input(t("upload.folder"), { webkitdirectory: true });
  const told = h("p", { role: "status" }, t("upload.drop"));
  const element = h(
    "div",
    { class: "lt-drop" },
    icon("layers"),
    told,
    h(
      "div",
      { class: "lt-row" },
      button(t("upload.choose"), () => files.click(), { glyph: "plus" }),
      button(t("upload.folder"), () => folder.click(), { glyph: "folder" }),
    ),
    files,
    folder,
  );
  droppable(element, (data) => dropped(data).then(take, toastProblem));
  return {
    element,
    say: (text) => {
      told.textContent = text;
    },
    choose: () => files.click(),
  };
}

// All batches ----------------------------------------------------------------------------------

class AllBatches {
  constructor(into) {
    this.batches = new Map();
    this.next = null;
    this.changed = new Set();
    this.form = h("div", {});
    this.list = h("div", {}, spinner());
    // Hidden until it is known whether there are any: where there are none the list itself offers it.
    this.opener = button(t("batch.new"), () => this.compose(), { kind: "primary", glyph: "plus", hidden: true });
    fill(
      into,
      h(
        "div",
        { class: "lt-top" },
        h("div", {}, h("h1", {}, t("page.batch")), h("p", {}, t("batch.lead"))),
        this.opener,
      ),
      this.form,
      this.list,
    );
    this.unlisten = listen((event) => {
      if (this.batches.has(event.batch_id)) this.changed.add(event.batch_id);
    });
    this.timer = setInterval(() => this.refresh(), REFRESH_MS);
    this.load();
  }

  close() {
    this.unlisten();
    clearInterval(this.timer);
    this.isClosed = true;
  }

  async load(after = null) {
    try {
      const [who, page] = await Promise.all([me, api.get("/batches", { limit: PAGE, after })]);
      if (this.isClosed) return;
      this.who = who;
      for (const one of page.items) this.batches.set(one.id, one);
      this.next = page.next;
      this.draw();
    } catch (error) {
      if (problem(error))
        fill(
          this.list,
          problemBox(error, () => this.load(after)),
        );
    }
  }

  async refresh() {
    const ids = [...this.changed].slice(0, 8);
    for (const id of ids) this.changed.delete(id);
    await Promise.all(
      ids.map((id) =>
        api.get(`/batches/${id}`).then(
          (one) => this.batches.set(id, one),
          // Perhaps nothing more happens to it: it is asked for until it is known.
          (error) => {
            if (error.status !== 404) this.changed.add(id);
          },
        ),
      ),
    );
    if (ids.length && !this.isClosed) this.draw();
  }

  draw() {
    this.opener.hidden = !this.batches.size || Boolean(this.form.firstChild);
    if (!this.batches.size) {
      if (this.form.firstChild) fill(this.list);
      else
        fill(
          this.list,
          empty(
            t("batch.none"),
            t("batch.none.text"),
            button(t("batch.new"), () => this.compose(), { kind: "primary", glyph: "plus" }),
          ),
        );
      return;
    }
    const all = [...this.batches.values()];
    const hasOthers = all.some((one) => one.owner !== this.who.user);
    const held = this.list.contains(document.activeElement) && document.activeElement.getAttribute("href");
    const columns = ["name", "made", "state", "progress", ...(hasOthers ? ["owner"] : [])];
    fill(
      this.list,
      h(
        "table",
        { class: "lt-table lt-cards lt-batch-table" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            columns.map((one) => h("th", { scope: "col" }, t(`batch.column.${one}`))),
          ),
        ),
        h(
          "tbody",
          {},
          all.map((one) => {
            const count = sumOf(one.counts);
            const over = overOf(one.counts);
            return h(
              "tr",
              {},
              h("td", {}, h("a", { href: `/app/batch?id=${one.id}` }, one.name)),
              h("td", { dataset: { label: t("batch.column.made") } }, when(one.created_at)),
              h(
                "td",
                {},
                stateBadge(one.state),
                one.counts.failed > 0 && [" ", badge(t("batch.count.failed", { n: one.counts.failed }), "bad")],
              ),
              h(
                "td",
                {},
                h(
                  "div",
                  { class: "lt-batch-bar" },
                  progress(count ? over / count : 0, t("batch.progress", { name: one.name })),
                  h("span", { class: "lt-number lt-small" }, t("batch.of", { over, n: count })),
                ),
              ),
              hasOthers && h("td", { dataset: { label: t("batch.column.owner") } }, one.owner || "–"),
            );
          }),
        ),
      ),
      this.next !== null
        && button(t("batch.more"), ({ currentTarget }) => guarded(currentTarget, () => this.load(this.next))),
    );
    if (held) this.list.querySelector(`a[href="${CSS.escape(held)}"]`)?.focus();
  }

  /** A new one: name, files, options. */
  async compose() {
    const who = await me.catch(() => null);
    if (!who || this.form.firstChild) return;
    const options = optionsPanel(who.user);
    const title = t("batch.name.default", { day: day(new Date().toISOString()) });
    const name = h("input", { type: "text", value: title, maxlength: 500 });
    let files = [];
    const pick = picker((found) => {
      files = [...files, ...found];
      const bytes = size(files.reduce((sum, one) => sum + one.file.size, 0));
      pick.say(t(files.length === 1 ? "batch.chosen.one" : "batch.chosen", { n: files.length, size: bytes }));
      clear.hidden = false;
    });
    const clear = button(
      t("batch.clear"),
      () => {
        files = [];
        clear.hidden = true;
        pick.say(t("upload.drop"));
      },
      { kind: "quiet", hidden: true },
    );
    pick.element.append(clear);
    const behind = toggle(t("batch.behind"), { checked: true, hint: t("batch.behind.hint") });
    const start = async () => {
      if (!files.length) {
        toast(t("batch.noFiles"), { kind: "error" });
        return;
      }
      const priority = behind.querySelector("input").checked ? "low" : "normal";
      const batch = await api.post(
        "/batches",
        { name: name.value.trim() || title, priority },
        { headers: { "Idempotency-Key": key } },
      );
      const queue = queueOf(batch.id);
      queue.add(files);
      queue.start({ ...options.value(), batch: batch.id, priority });
      go(`batch?id=${batch.id}`);
    };
    const key = newKey();
    const starter = button(t("batch.start"), ({ currentTarget }) => guarded(currentTarget, start), {
      kind: "primary",
      glyph: "play",
    });
    const card = h(
      "section",
      {
        class: "lt-card",
        "aria-label": t("batch.new"),
        onkeydown: (event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) guarded(starter, start);
          else if (event.key === "Escape" && !files.length) shut();
        },
      },
      h("h2", {}, t("batch.new")),
      h(
        "div",
        { class: "lt-batch-form" },
        h("div", {}, field(t("batch.name"), name), pick.element, behind),
        options.element,
        h(
          "div",
          { class: "lt-batch-foot" },
          button(t("cancel"), () => shut()),
          starter,
        ),
      ),
    );
    const shut = () => {
      fill(this.form);
      this.draw();
      (this.opener.hidden ? this.list.querySelector("button") : this.opener).focus();
    };
    fill(this.form, card);
    this.draw();
    name.select();
  }
}

// One batch ------------------------------------------------------------------------------------

class OneBatch {
  constructor(into, id) {
    Object.assign(this, { into, id, queue: queueOf(id), filter: "all", batch: null });
    this.live = new LiveJobs(() => this.later(), { batch: id });
    fill(into, h("h1", { class: "lt-batch-title" }, t("page.batch")), spinner());
    this.load();
  }

  async load() {
    try {
      this.batch = await api.get(`/batches/${this.id}`);
      if (this.isClosed) return;
      this.window?.close();
      this.unlisten?.();
      this.build();
      this.live.start();
      this.unlisten = this.queue.listen((item) => this.heard(item));
      for (const item of this.queue.all("sent")) this.live.put(item.job);
      for await (const page of pages("/jobs", { batch: this.id, limit: 500 })) {
        if (this.isClosed) return;
        for (const job of page.items) this.live.put(job);
      }
      this.timer = setInterval(() => this.refresh(), REFRESH_MS);
    } catch (error) {
      if (!this.isClosed && problem(error))
        fill(
          this.into,
          h("h1", { class: "lt-batch-title" }, t("page.batch")),
          this.back(),
          problemBox(error, () => this.load()),
        );
    }
  }

  close() {
    this.isClosed = true;
    this.live.stop();
    this.unlisten?.();
    this.window?.close();
    clearInterval(this.timer);
    clearTimeout(this.pending);
  }

  back() {
    return h("a", { class: "lt-batch-back", href: "/app/batch" }, icon("back"), t("batch.all"));
  }

  build() {
    const pick = picker((found) => {
      me.then(
        (who) => {
          this.queue.add(found);
          this.queue.start({ ...fieldsOf(storedOptions(who.user)), batch: this.id, priority: this.batch.priority });
        },
        () => {},
      );
    });
    pick.element.hidden = true;
    this.state = h("span", {});
    this.bar = progress(0, t("batch.progress", { name: this.batch.name }));
    this.facts = h("div", { class: "lt-batch-facts" });
    this.halt = button(
      t("batch.pause"),
      ({ currentTarget }) => this.change(currentTarget, this.isPaused ? "resume" : "pause"),
      { glyph: "pause" },
    );
    this.stop = button(t("batch.cancel"), ({ currentTarget }) => this.cancel(currentTarget), { glyph: "close" });
    this.again = button(t("batch.retry", { n: 0 }), ({ currentTarget }) => this.retry(currentTarget), {
      glyph: "refresh",
    });
    this.filterControl = select(
      ["all", "moving", "done", "failed"].map((one) => [one, t(`batch.filter.${one}`)]),
      {
        value: this.filter,
        onchange: ({ target }) => {
          this.filter = target.value;
          this.render();
        },
      },
    );
    this.window = new Window({
      height: ROW_PX,
      label: t("batch.files"),
      make: (key) => this.row(key),
      draw: (element, key) => this.drawRow(element, key),
    });
    this.none = h("p", { class: "lt-batch-none", hidden: true });
    fill(
      this.into,
      this.back(),
      h(
        "div",
        { class: "lt-top" },
        h("div", {}, h("h1", { class: "lt-batch-title" }, this.batch.name), h("p", {}, when(this.batch.created_at))),
        this.state,
      ),
      h("section", { class: "lt-card lt-batch-all", "aria-label": t("batch.column.progress") }, this.bar, this.facts),
      h(
        "div",
        { class: "lt-batch-tools" },
        this.halt,
        this.stop,
        this.again,
        menu(
          t("upload.download"),
          () => [
            { text: t("batch.csv"), run: () => this.table("csv") },
            { text: t("batch.json"), run: () => this.table("json") },
            { text: t("batch.zip"), run: () => this.zip() },
          ],
          { glyph: "download" },
        ),
        button(t("batch.add"), () => pick.choose(), { glyph: "plus" }),
      ),
      pick.element,
      h("div", { class: "lt-batch-head" }, h("h2", {}, t("batch.files")), field(t("batch.filter"), this.filterControl)),
      this.window.element,
      this.none,
    );
    this.render();
  }

  // What is shown ------------------------------------------------------------------------------

  /** Something waits to go on. */
  get isPaused() {
    return this.queue.isPaused || this.batch.state === "paused" || this.paused > 0;
  }

  heard(item) {
    if (item?.state === "sent" && !this.live.jobs.has(item.job.id)) this.live.put(item.job);
    this.later();
  }

  /** Everything at most some times a second, however many jobs change. */
  later() {
    this.pending ||= setTimeout(() => {
      this.pending = 0;
      if (this.window) this.render();
    }, TOTALS_MS);
  }

  async refresh() {
    const isMoving = [...this.live.jobs.values()].some((job) => !isFinished(job));
    if (document.hidden || (!isMoving && isFinished(this.batch))) return;
    try {
      this.batch = await api.get(`/batches/${this.id}`);
      this.later();
    } catch {
      /* the next one */
    }
  }

  entries() {
    const jobs = [...this.live.jobs.values()].filter((job) => job.batch_id === this.id);
    jobs.sort((a, b) => (a.created_at < b.created_at ? -1 : a.created_at > b.created_at ? 1 : a.id < b.id ? -1 : 1));
    return { jobs, items: this.queue.all("waiting", "sending", "failed", "cancelled") };
  }

  render() {
    if (this.isClosed) return;
    const { jobs, items } = this.entries();
    const counts = { queued: 0, running: 0, paused: 0, done: 0, failed: 0, cancelled: 0, unsent: 0 };
    let share = 0;
    let sound = 0;
    for (const job of jobs) {
      counts[job.state] += 1;
      share += isFinished(job) ? 1 : 0.1 + 0.9 * (shareOf(job) || 0);
      sound += job.total_s || 0;
    }
    for (const item of items) {
      if (["failed", "cancelled"].includes(item.state)) {
        counts[item.state] += 1;
        share += 1;
      } else {
        counts.unsent += 1;
        share += 0.1 * item.share;
      }
    }
    this.paused = counts.paused;
    const count = jobs.length + items.length;
    const broken = counts.failed + counts.cancelled;
    this.bar.value = count ? share / count : 0;
    const isOver = count > 0 && counts.done + broken === count;
    const over = counts.done ? "done" : counts.failed ? "failed" : "cancelled";
    const state = isOver
      ? over
      : this.isPaused
        ? "paused"
        : counts.running || counts.unsent
          ? "running"
          : this.batch.state;
    fill(this.state, stateBadge(state));
    const eta = !isOver && !this.isPaused ? this.batch.eta_s : null;
    fill(
      this.facts,
      h("strong", {}, t("batch.counts", { done: counts.done, n: count })),
      ["running", "queued", "paused", "unsent", "cancelled"].map(
        (one) => counts[one] > 0 && h("span", {}, t(`batch.count.${one}`, { n: counts[one] })),
      ),
      counts.failed > 0 && h("span", { class: "lt-bad" }, t("batch.count.failed", { n: counts.failed })),
      eta ? h("span", {}, t("upload.left", { time: about(eta) })) : null,
      sound > 0 && h("span", {}, t("batch.audio", { time: clock(sound) })),
    );
    this.halt.hidden = isOver || !count;
    const halt = t(this.isPaused ? "batch.resume" : "batch.pause");
    if (this.halt.textContent !== halt) fill(this.halt, icon(this.isPaused ? "play" : "pause"), h("span", {}, halt));
    this.stop.hidden = isOver || !count;
    this.again.hidden = !broken;
    this.again.lastChild.textContent = t("batch.retry", { n: broken });
    const fits = {
      all: () => true,
      moving: (one) => !["done", "failed", "cancelled"].includes(one.state),
      done: (one) => one.state === "done",
      failed: (one) => ["failed", "cancelled"].includes(one.state),
    }[this.filter];
    const keys = [...jobs, ...items].filter(fits).map((one) => one.id);
    this.window.element.hidden = !keys.length;
    this.none.hidden = keys.length > 0;
    this.none.textContent = count ? t("batch.filter.none") : t("batch.empty");
    this.window.show(keys);
  }

  row() {
    const made = h("div", { class: "lt-batch-row" });
    made.name = h("div", { class: "lt-batch-name" });
    made.meta = h("div", { class: "lt-batch-meta" });
    made.actions = h("div", { class: "lt-row" });
    made.bar = progress(0, "");
    fill(made, h("div", { style: { minWidth: 0 } }, made.name, made.meta), made.bar, made.actions);
    return made;
  }

  drawRow(element, key) {
    const job = this.live.jobs.get(key);
    const item = this.queue.items.get(key);
    const one = job || item;
    if (!one) return;
    const share = job ? shareOf(job) : item.share;
    const isMoving = ["running", "sending", "paused"].includes(one.state);
    const moved = job ? [job.done_s, Math.round(job.eta_s || 0)] : [item.share, item.held, this.queue.isPaused];
    const drawn = [one.state, !!one.error, ...moved].join(" ");
    if (element.drawn === drawn) return;
    const isNewState = element.state !== one.state;
    Object.assign(element, { drawn, state: one.state });
    element.dataset.state = one.state;
    element.name.textContent = one.name;
    element.name.title = item?.path || one.name;
    const error = one.error && one.state === "failed" ? problem(job ? new ApiError(422, job.error) : item.error) : null;
    fill(
      element.meta,
      job ? stateBadge(job.state) : badge(stateText(item, this.queue), { sending: "busy", failed: "bad" }[item.state]),
      job?.state === "running" && share !== null && h("span", {}, percent(share)),
      job?.state === "running" && job.eta_s ? h("span", {}, t("upload.left", { time: about(job.eta_s) })) : null,
      error
        ? h("span", { title: error }, error)
        : h("span", {}, job ? (job.total_s ? clock(job.total_s) : "") : size(item.size)),
    );
    element.bar.style.visibility = isMoving ? "visible" : "hidden";
    element.bar.setAttribute("aria-label", t("batch.progress", { name: one.name }));
    if (share === null) element.bar.removeAttribute("value");
    else element.bar.value = share;
    if (isNewState) {
      const held = element.actions.contains(document.activeElement);
      fill(element.actions, job ? this.actionsOfJob(job, error) : this.actionsOfItem(item));
      if (held) (element.actions.querySelector("button, a") || this.window.element).focus();
    }
  }

  actionsOfJob(job) {
    const { id, name } = job;
    const change =
      (what) =>
      ({ currentTarget }) =>
        guarded(currentTarget, async () => this.live.put(await api.post(`/jobs/${id}/${what}`)));
    if (job.state === "done")
      return h(
        "a",
        {
          class: "lt-button lt-quiet",
          href: `/app/recordings?id=${encodeURIComponent(job.recording_id)}`,
          "aria-label": t("upload.openOne", { name }),
        },
        t("upload.open"),
      );
    if (!isFinished(job))
      return button(null, change("cancel"), { kind: "quiet", label: t("upload.cancelOne", { name }), glyph: "close" });
    return [
      job.state === "failed"
        && this.whyButton(name, () => this.live.jobs.get(id)?.error && new ApiError(422, this.live.jobs.get(id).error)),
      button(null, change("retry"), { kind: "quiet", label: t("upload.retryOne", { name }), glyph: "refresh" }),
    ];
  }

  actionsOfItem(item) {
    const { name } = item;
    if (["failed", "cancelled"].includes(item.state))
      return [
        item.error && this.whyButton(name, () => item.error),
        button(null, () => this.queue.retry(item), {
          kind: "quiet",
          label: t("upload.retryOne", { name }),
          glyph: "refresh",
        }),
      ];
    return button(null, () => this.queue.cancel(item), {
      kind: "quiet",
      label: t("upload.cancelOne", { name }),
      glyph: "close",
    });
  }

  /** The whole sentence, for which a row has no room. */
  whyButton(name, errorOf) {
    return button(
      null,
      () => {
        const error = errorOf();
        dialog(t("batch.why", { name }), (close) => [
          h("p", {}, (error && problem(error)) || t("state.failed")),
          h(
            "footer",
            {},
            button(t("close"), () => close(), { autofocus: true }),
          ),
        ]);
      },
      { kind: "quiet", label: t("batch.why", { name }), glyph: "warn" },
    );
  }

  // What is done -------------------------------------------------------------------------------

  change(control, what) {
    return guarded(control, async () => {
      if (what === "pause" || what === "resume") this.queue.pause(what === "pause");
      try {
        this.batch = await api.post(`/batches/${this.id}/${what}`);
      } catch (error) {
        if (what === "pause") this.queue.pause(false);
        throw error;
      }
      this.live.refresh();
      this.render();
      return this.batch;
    });
  }

  async cancel(control) {
    const stopped = this.queue.all("waiting", "sending");
    for (const item of stopped) this.queue.cancel(item);
    if (await this.change(control, "cancel"))
      toast(t("batch.cancelled"), { action: { text: t("undo"), run: () => this.retry(null) } });
  }

  async retry(control) {
    for (const item of this.queue.all("failed", "cancelled")) this.queue.retry(item);
    this.queue.pause(false);
    // What is tried again goes on, and so do those that come later.
    if (await this.change(control, "retry")) await this.change(control, "resume");
  }

  table(form) {
    return download(`/batches/${this.id}/table/${form}`, { name: `${this.batch.name}.${form}` }).catch(toastProblem);
  }

  zip() {
    let stored = ["txt", "docx"];
    try {
      stored = JSON.parse(localStorage.getItem(ZIP)) || stored;
    } catch {
      /* as it is */
    }
    const until = new AbortController();
    return dialog(t("batch.zip.title"), (close) => {
      const boxes = FORMATS.map(([format, text]) => toggle(text, { checked: stored.includes(format) }));
      const words = toggle(t("batch.zip.words"));
      const get = ({ currentTarget }) =>
        guarded(currentTarget, async () => {
          const formats = FORMATS.map(([format]) => format).filter((_, i) => boxes[i].querySelector("input").checked);
          if (!formats.length) {
            toast(t("batch.zip.none"), { kind: "error" });
            return;
          }
          localStorage.setItem(ZIP, JSON.stringify(formats));
          await download("/exports", {
            body: { batch: this.id, formats, words: words.querySelector("input").checked },
            signal: until.signal,
            name: `${this.batch.name}.zip`,
          });
          close();
        });
      return [
        h("p", {}, t("batch.zip.text")),
        h("div", { class: "lt-batch-formats" }, boxes),
        words,
        h(
          "footer",
          {},
          button(t("cancel"), () => close()),
          button(t("batch.zip.go"), get, { kind: "primary", glyph: "download" }),
        ),
      ];
    }).then(() => until.abort());
  }
}

class BatchPage extends HTMLElement {
  connectedCallback() {
    this.addressChanged();
  }

  disconnectedCallback() {
    this.view?.close();
  }

  addressChanged() {
    const id = new URLSearchParams(location.search).get("id");
    this.view?.close();
    this.view = id ? new OneBatch(this, id) : new AllBatches(this);
  }
}

customElements.define("lt-batch", BatchPage);
