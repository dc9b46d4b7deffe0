// Transcribe: files, a folder or the microphone in; text out, in place.

import transcribeWords from "../words/transcribe.js";
import { ApiError, api, ask } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { FORMATS, download } from "../core/download.js";
import { about, clock, percent, size, when } from "../core/format.js";
import { LiveJobs, isFinished, shareOf } from "../core/jobs.js";
import { icon } from "../core/icons.js";
import { go, me } from "../core/main.js";
import { optionsPanel } from "../core/options.js";
import {
  badge,
  button,
  copy,
  empty,
  field,
  guarded,
  menu,
  problem,
  problemBox,
  progress,
  select,
  stateBadge,
  toast,
  toastProblem,
  toggle,
} from "../core/parts.js";
import { Recorder, microphones } from "../core/recorder.js";
import { ACCEPT, Queue, chosen, dropped, newKey, sorted, stateText } from "../core/upload.js";
import { language, learn, t } from "../core/words.js";

learn(transcribeWords);

const LATELY = 8;
const SHOWN = 100;
const SEGMENTS = 100;
const AT_ONCE = "lingting.transcribe.atOnce";
const sideBySide = matchMedia("(min-width: 901px)");

// Sending goes on while another page is looked at.
const queue = new Queue();
/** Files that are nowhere else: what was said into the microphone. */
const spoken = new WeakSet();
let isRecording = false;

addEventListener("beforeunload", (event) => {
  if (isRecording || queue.all().some((item) => spoken.has(item.file))) event.preventDefault();
});

/** What the text of a job is, beneath its row. */
class Text {
  constructor(job) {
    this.id = job.recording_id;
    this.lines = h("div", {});
    this.foot = h("div", {});
    this.element = h(
      "div",
      { class: "lt-transcribe-text", tabindex: "0", role: "region", "aria-label": job.name },
      this.lines,
      this.foot,
    );
    this.next = 0;
    this.more();
  }

  async more() {
    try {
      const page = await api.get(`/transcripts/${this.id}/segments`, { start: this.next, limit: SEGMENTS });
      for (const one of page.items)
        this.lines.append(
          h(
            "p",
            {},
            h("time", {}, clock(one.start_s)),
            h("span", { lang: one.language }, one.speaker ? `${one.speaker}: ${one.text}` : one.text),
          ),
        );
      if (!page.items.length && !this.next)
        fill(this.lines, h("div", { class: "lt-soft" }, t("transcribe.silence"), " ", t("transcribe.silence.next")));
      this.next = page.next;
      fill(
        this.foot,
        page.next !== null
          && button(t("transcribe.moreText"), ({ currentTarget }) => guarded(currentTarget, () => this.more()), {
            kind: "quiet",
          }),
      );
    } catch (error) {
      fill(
        this.foot,
        problemBox(error, () => this.more()),
      );
    }
  }
}

/** A file on its way or a job, or the one that became the other. */
class Row {
  constructor(page, key) {
    Object.assign(this, { page, key, drawn: "" });
    this.line = h("div", { class: "lt-transcribe-line" });
    this.bar = progress(0, "");
    this.why = h("p", { class: "lt-transcribe-why", hidden: true });
    this.element = h("li", { class: "lt-transcribe-row", dataset: { key } }, this.line, this.bar, this.why);
    this.text = null;
  }

  /** `item`, `job`: what there is of both. */
  show(item, job) {
    const name = job?.name || item.name;
    const state = job?.state || item.state;
    this.meta ||= h("div", { class: "lt-transcribe-meta" });
    const drawn = `${state} ${job ? job.id : ""} ${this.text ? 1 : 0}`;
    if (this.drawn !== drawn) {
      this.drawn = drawn;
      this.element.dataset.state = state;
      const held = this.line.contains(document.activeElement);
      this.line.classList.toggle("lt-transcribe-wide", state === "done");
      fill(
        this.line,
        h(
          "div",
          { style: { minWidth: 0 } },
          h("div", { class: "lt-transcribe-name", title: item?.path || name }, name),
          this.meta,
        ),
        h("div", { class: "lt-row" }, job ? this.ofJob(job, item) : this.ofItem(item)),
      );
      if (held) this.line.querySelector("button, a")?.focus();
    }
    fill(
      this.meta,
      job
        ? metaOfJob(job)
        : [
            badge(stateText(item, queue), { sending: "busy", failed: "bad" }[item.state]),
            h("span", {}, size(item.size)),
          ],
    );
    this.showBar(item, job, name);
    const error = job ? job.state === "failed" && job.error : item.state === "failed" && item.error;
    this.why.hidden = !error;
    if (error) this.why.textContent = problem(job ? new ApiError(422, job.error) : error) || t("upload.state.failed");
  }

  showBar(item, job, name) {
    const share = job ? shareOf(job) : item.share;
    this.bar.hidden = !(job ? ["running", "paused"].includes(job.state) : item.state === "sending");
    this.bar.setAttribute("aria-label", t(job ? "transcribe.progress" : "transcribe.sending", { name }));
    if (share === null) this.bar.removeAttribute("value");
    else this.bar.value = share;
  }

  ofItem(item) {
    const { name } = item;
    if (["waiting", "sending"].includes(item.state))
      return button(null, () => queue.cancel(item), {
        kind: "quiet",
        label: t("upload.cancelOne", { name }),
        glyph: "close",
      });
    return [
      ["failed", "cancelled"].includes(item.state)
        && button(t("again"), () => queue.retry(item), { label: t("upload.retryOne", { name }), glyph: "refresh" }),
      button(null, () => this.page.remove(item), {
        kind: "quiet",
        label: t("transcribe.removeOne", { name }),
        glyph: "close",
      }),
    ];
  }

  ofJob(job) {
    const { name } = job;
    const change =
      (what) =>
      ({ currentTarget }) =>
        guarded(currentTarget, async () => this.page.live.put(await api.post(`/jobs/${job.id}/${what}`)));
    if (job.state === "done") return this.ofDone(job);
    if (!isFinished(job))
      return button(null, change("cancel"), { kind: "quiet", label: t("upload.cancelOne", { name }), glyph: "close" });
    return button(t("again"), change("retry"), { label: t("upload.retryOne", { name }), glyph: "refresh" });
  }

  ofDone(job) {
    const shown = Boolean(this.text);
    return [
      button(shown ? t("transcribe.hide") : t("transcribe.show"), () => this.toggle(), {
        kind: "quiet",
        "aria-expanded": String(shown),
      }),
      button(
        null,
        ({ currentTarget }) =>
          guarded(currentTarget, async () => copy(await (await ask("GET", `/exports/${job.recording_id}/txt`)).text())),
        { kind: "quiet", label: t("transcribe.copy"), glyph: "copy" },
      ),
      menu(
        null,
        () =>
          FORMATS.map(([format, text]) => ({
            text,
            run: () =>
              download(`/exports/${job.recording_id}/${format}`, { name: `${job.name}.${format}` }).catch(toastProblem),
          })),
        { label: t("upload.download"), glyph: "download", kind: "quiet" },
      ),
      h(
        "a",
        {
          class: "lt-button",
          href: `/app/recordings?id=${encodeURIComponent(job.recording_id)}`,
          "aria-label": t("upload.openOne", { name: job.name }),
        },
        t("upload.open"),
      ),
    ];
  }

  toggle(is = !this.text) {
    this.text?.element.remove();
    const job = this.page.jobOf(this.key);
    this.text = is && job ? new Text(job) : null;
    if (this.text) this.element.append(this.text.element);
    this.page.draw(this.key);
  }
}

function metaOfJob(job) {
  const parts = [stateBadge(job.state)];
  const share = shareOf(job);
  if (job.state === "running" && share !== null) parts.push(h("span", {}, percent(share)));
  if (job.state === "running" && job.eta_s) parts.push(h("span", {}, t("upload.left", { time: about(job.eta_s) })));
  if (job.total_s) parts.push(h("span", {}, clock(job.total_s)));
  if (isFinished(job)) parts.push(h("span", {}, when(job.created_at)));
  return parts;
}

class TranscribePage extends HTMLElement {
  connectedCallback() {
    this.rows = new Map();
    this.lately = [];
    this.shown = SHOWN;
    this.isFirst = false;
    this.live = new LiveJobs((job) => this.changed(job));
    for (const item of queue.all("sent")) this.live.put(item.job);
    this.build();
    this.until = new AbortController();
    const { signal } = this.until;
    document.addEventListener("keydown", (event) => this.pressed(event), { signal });
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
      document.addEventListener(kind, (event) => this.dragged(event), { signal });
    sideBySide.addEventListener(
      "change",
      () => {
        this.side.open = sideBySide.matches;
      },
      { signal },
    );
    this.unlisten = queue.listen((item) => this.heard(item));
    this.live.start();
    this.arrange();
    this.load();
  }

  disconnectedCallback() {
    this.until.abort();
    this.unlisten();
    this.live.stop();
    cancelAnimationFrame(this.frame);
    this.over?.remove();
    // What was said is not lost because somebody looks at another page.
    if (this.recorder) this.keepRecording();
  }

  build() {
    const files = h("input", {
      type: "file",
      multiple: true,
      accept: ACCEPT,
      hidden: true,
      tabindex: -1,
      "aria-label": t("upload.choose"),
      onchange: (event) => this.picked(event.target),
    });
    const folder = h("input", {
      type: "file",
      webkitdirectory: true,
      hidden: true,
      tabindex: -1,
      "aria-label": t("upload.folder"),
      onchange: (event) => this.picked(event.target),
    });
    this.give = [
      icon("upload"),
      h("h2", {}, t("upload.drop")),
      h("p", { class: "lt-soft" }, t("transcribe.drop.hint")),
      h(
        "div",
        { class: "lt-row" },
        button(t("upload.choose"), () => files.click(), { kind: "primary", glyph: "plus" }),
        button(t("upload.folder"), () => folder.click(), { glyph: "folder" }),
        button(t("transcribe.record"), ({ currentTarget }) => this.record(currentTarget), { glyph: "mic" }),
      ),
      files,
      folder,
    ];
    this.drop = h("section", { class: "lt-drop lt-transcribe-drop", "aria-label": t("upload.drop") }, this.give);
    this.starter = h("div", { class: "lt-transcribe-start" });
    this.side = h("details", { open: sideBySide.matches }, h("summary", {}, t("options.title")));
    this.summary = h("span", { class: "lt-soft lt-number", role: "status" });
    this.failures = h("span", {});
    this.share = progress(0, t("transcribe.files"));
    this.clearer = button(t("transcribe.clearFinished"), () => this.clear(), { kind: "quiet" });
    this.head = h(
      "div",
      { class: "lt-transcribe-head", hidden: true },
      h("h2", {}, t("transcribe.files")),
      this.summary,
      this.failures,
      this.share,
      this.clearer,
    );
    this.list = h("ul", { class: "lt-transcribe-list", "aria-label": t("transcribe.files") });
    this.rest = h("div", {});
    this.earlier = h("section", {});
    this.atOnce = toggle(t("transcribe.atOnce"), {
      checked: localStorage.getItem(AT_ONCE) === "1",
      onchange: ({ target }) => {
        localStorage.setItem(AT_ONCE, target.checked ? "1" : "0");
        if (target.checked) this.start();
      },
    });
    fill(
      this,
      h("div", { class: "lt-top" }, h("div", {}, h("h1", {}, t("page.transcribe")), h("p", {}, t("transcribe.lead")))),
      h(
        "div",
        { class: "lt-transcribe-grid" },
        h("div", { class: "lt-transcribe-give" }, this.drop, this.starter),
        h("aside", { class: "lt-card lt-transcribe-side", "aria-label": t("options.title") }, this.side),
        h("div", { class: "lt-transcribe-files" }, this.head, this.list, this.rest, this.earlier),
      ),
    );
    me.then(
      (who) => {
        this.options = optionsPanel(who.user);
        this.side.append(this.options.element);
      },
      () => {},
    );
  }

  /** What was given before, and whether there is anything at all. */
  async load() {
    try {
      const [who, jobs, recordings] = await Promise.all([
        me,
        api.get("/jobs", { limit: 50 }),
        api.get("/recordings", { limit: 1 }),
      ]);
      if (!this.isConnected) return;
      this.isFirst = !recordings.items.length && !jobs.items.length;
      this.lately = jobs.items
        .filter((job) => job.owner === who.user && !job.batch_id)
        .slice(0, LATELY)
        .map((job) => job.id);
      for (const job of jobs.items) if (this.lately.includes(job.id) && !this.live.jobs.has(job.id)) this.live.put(job);
      this.arrange();
    } catch (error) {
      if (this.isConnected && problem(error))
        fill(
          this.earlier,
          problemBox(error, () => this.load()),
        );
    }
  }

  // What is shown ------------------------------------------------------------------------------

  jobOf(key) {
    const item = queue.items.get(key);
    return this.live.jobs.get(item ? item.job?.id : key) || item?.job || null;
  }

  draw(key) {
    const item = queue.items.get(key) || null;
    this.rows.get(key)?.show(item, this.jobOf(key));
  }

  row(key) {
    if (!this.rows.has(key)) {
      this.rows.set(key, new Row(this, key));
      this.draw(key);
    }
    return this.rows.get(key).element;
  }

  /** Items came or went. */
  arrange() {
    const items = queue.all();
    const own = new Set(items.map((item) => item.job?.id));
    const keys = items.slice(0, this.shown).map((item) => item.id);
    const lately = this.lately.filter((id) => !own.has(id) && this.live.jobs.has(id));
    for (const key of [...this.rows.keys()]) if (!keys.includes(key) && !lately.includes(key)) this.rows.delete(key);
    put(
      this.list,
      keys.map((key) => this.row(key)),
    );
    for (const key of keys) this.draw(key);
    fill(
      this.rest,
      items.length > keys.length
        && button(
          t("transcribe.more", { n: items.length - keys.length }),
          () => {
            this.shown += SHOWN;
            this.arrange();
          },
          { kind: "quiet" },
        ),
    );
    if (lately.length) {
      if (!this.earlierList) {
        this.earlierList = h("ul", { class: "lt-transcribe-list", "aria-label": t("transcribe.earlier") });
        fill(
          this.earlier,
          h(
            "div",
            { class: "lt-transcribe-head" },
            h("h2", {}, t("transcribe.earlier")),
            h("a", { href: "/app/recordings" }, t("transcribe.all")),
          ),
          this.earlierList,
        );
      }
      put(
        this.earlierList,
        lately.map((id) => this.row(id)),
      );
    } else {
      this.earlierList = null;
      fill(this.earlier, this.isFirst && !items.length && this.firstRun());
    }
    this.total();
  }

  firstRun() {
    const sample = (which, kind) =>
      button(
        t(`transcribe.sample.${which}`),
        ({ currentTarget }) =>
          guarded(currentTarget, async () => {
            const job = await api.post(
              "/recordings/sample",
              { sample: which, name: t(`transcribe.sample.name.${which}`), options: this.options?.value() || {} },
              { headers: { "Idempotency-Key": newKey() } },
            );
            this.live.put(job);
            this.lately.unshift(job.id);
            this.isFirst = false;
            this.opening = job.id;
            this.arrange();
          }),
        { kind, glyph: "play" },
      );
    const samples = language === "zh" ? ["lecture", "novel"] : ["novel", "lecture"];
    return empty(
      t("transcribe.first"),
      t("transcribe.first.text"),
      samples.map((one, i) => sample(one, i ? "" : "primary")),
    );
  }

  /** Head and start button: at most once a frame. */
  total() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      const items = queue.all();
      const staged = queue.all("staged");
      const key = `${staged.length} ${items.length}`;
      if (this.startDrawn !== key) {
        this.startDrawn = key;
        fill(
          this.starter,
          staged.length > 0 && [
            button(
              t(staged.length === 1 ? "transcribe.start.one" : "transcribe.start.many", { n: staged.length }),
              () => this.start(),
              { kind: "primary", glyph: "play" },
            ),
            h("span", { class: "lt-transcribe-keys" }, t("transcribe.start.keys")),
            staged.length > 1
              && button(t("transcribe.clearStaged"), () => this.remove(...queue.all("staged")), { kind: "quiet" }),
          ],
          this.atOnce,
        );
      }
      this.head.hidden = !items.length;
      if (!items.length) return;
      const jobs = items.map((item) => this.jobOf(item.id));
      const done = jobs.filter((job) => job?.state === "done").length;
      const failed = jobs.filter((job, i) => job?.state === "failed" || items[i].state === "failed").length;
      const over = jobs.filter((job, i) =>
        job ? isFinished(job) : ["failed", "cancelled"].includes(items[i].state),
      ).length;
      const share =
        items.reduce(
          (sum, item, i) =>
            sum + (jobs[i] ? (isFinished(jobs[i]) ? 1 : 0.2 + 0.8 * (shareOf(jobs[i]) || 0)) : 0.2 * item.share),
          0,
        ) / items.length;
      // What is pressed or read stays the same element while it changes.
      const told = t("transcribe.summary", { done, n: items.length });
      if (this.summary.textContent !== told) this.summary.textContent = told;
      fill(this.failures, failed > 0 && badge(t("transcribe.failed", { n: failed }), "bad"));
      this.share.hidden = items.length < 2 || over === items.length || staged.length === items.length;
      this.share.value = share;
      this.clearer.hidden = !over;
    });
  }

  heard(item) {
    if (item?.state === "sent" && !this.live.jobs.has(item.job.id)) {
      this.live.put(item.job);
      if (queue.items.size === 1) this.opening = item.id;
    }
    if (item) {
      this.draw(item.id);
      this.total();
    } else this.arrange();
  }

  changed(job) {
    const item = queue.all("sent").find((one) => one.job.id === job.id);
    if (item) item.job = job;
    const key = item ? item.id : job.id;
    this.draw(key);
    if (this.opening === key && job.state === "done") {
      this.opening = null;
      this.rows.get(key)?.toggle(true);
    }
    this.total();
  }

  // What is done -------------------------------------------------------------------------------

  take(found) {
    const { good, told } = sorted(found);
    for (const text of told) toast(text, { kind: "error" });
    if (!good.length) return;
    queue.add(good);
    if (localStorage.getItem(AT_ONCE) === "1") this.start();
  }

  picked(input) {
    this.take(chosen(input));
    input.value = "";
  }

  start() {
    me.then(() => {
      if (queue.all("staged").length) queue.start(this.options.value());
    }, toastProblem);
  }

  remove(...items) {
    queue.remove(...items);
    toast(t("transcribe.removed"), { action: { text: t("undo"), run: () => queue.restore(...items) } });
  }

  clear() {
    const over = queue.all().filter((item) => {
      const job = this.jobOf(item.id);
      return job ? isFinished(job) : ["failed", "cancelled"].includes(item.state);
    });
    this.lately = [
      ...over
        .map((item) => item.job?.id)
        .filter(Boolean)
        .reverse(),
      ...this.lately,
    ].slice(0, LATELY);
    this.remove(...over);
  }

  pressed(event) {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.start();
    } else if (event.key === "Escape" && !event.target.closest?.("select, textarea, .lt-menu-holder, .lt-head"))
      this.escape();
  }

  escape() {
    if (this.recorder) {
      this.discardRecording();
      return;
    }
    const moving = queue.all("waiting", "sending");
    if (moving.length) {
      for (const item of moving) queue.cancel(item);
      toast(t("transcribe.cancelled", { n: moving.length }), {
        action: { text: t("transcribe.goOn"), run: () => moving.forEach((item) => queue.retry(item)) },
      });
    } else if (queue.all("staged").length) this.remove(...queue.all("staged"));
  }

  dragged(event) {
    if (![...(event.dataTransfer?.types || [])].includes("Files")) return;
    event.preventDefault();
    if (event.type === "dragover") event.dataTransfer.dropEffect = "copy";
    const isOut = event.type === "drop" || (event.type === "dragleave" && !event.relatedTarget);
    if (isOut) {
      this.over?.remove();
      this.over = null;
    } else this.over ||= document.body.appendChild(h("div", { class: "lt-transcribe-over" }));
    this.drop.classList.toggle("lt-over", !isOut);
    if (event.type === "drop") dropped(event.dataTransfer).then((found) => this.take(found), toastProblem);
  }

  // The microphone -----------------------------------------------------------------------------

  async record(opener, deviceId = null) {
    const level = h("div", {});
    const time = h("div", { class: "lt-transcribe-clock", "aria-live": "off" }, clock(0));
    const note = h("p", { class: "lt-soft", role: "status" });
    let second = -1;
    const recorder = new Recorder({
      onlevel: (share, seconds) => {
        level.style.transform = `scaleX(${share})`;
        if (Math.floor(seconds) !== second) {
          second = Math.floor(seconds);
          time.textContent = clock(seconds);
        }
      },
      onquiet: (is) => {
        note.textContent = is ? t("recorder.quiet") : "";
      },
      onended: () => {
        if (this.recorder === recorder) {
          toast(t("recorder.ended"), { kind: "warn" });
          this.keepRecording();
        }
      },
    });
    let asked = () => {};
    const asking = setTimeout(() => {
      asked = toast(t("recorder.asking"), { ms: 60_000 });
    }, 700);
    const began = await guarded(opener, () => recorder.start(deviceId));
    clearTimeout(asking);
    asked();
    if (!began) return;
    if (!this.isConnected || this.recorder) {
      recorder.discard();
      return;
    }
    this.recorder = recorder;
    isRecording = true;
    this.showRecorder(recorder, { level, time, note });
    const found = await microphones();
    if (found.length > 1 && this.recorder === recorder) {
      this.drop.firstChild.append(
        field(
          t("recorder.device"),
          select(
            found.map((one) => [one.deviceId, one.label]),
            { value: recorder.deviceId, onchange: ({ target }) => this.changeMicrophone(target) },
          ),
        ),
      );
    }
  }

  showRecorder(recorder, { level, time, note }) {
    const dot = h("span", { class: "lt-transcribe-dot" });
    const state = h("span", {}, t("recorder.title"));
    const halt = button(
      t("recorder.pause"),
      () => {
        recorder.isPaused = !recorder.isPaused;
        dot.classList.toggle("lt-paused", recorder.isPaused);
        state.textContent = t(recorder.isPaused ? "recorder.paused" : "recorder.title");
        fill(
          halt,
          icon(recorder.isPaused ? "play" : "pause"),
          h("span", {}, t(recorder.isPaused ? "recorder.resume" : "recorder.pause")),
        );
      },
      { glyph: "pause" },
    );
    const stop = button(t("recorder.stop"), () => this.keepRecording(), { kind: "primary", glyph: "stop" });
    fill(
      this.drop,
      h(
        "div",
        { class: "lt-transcribe-recorder" },
        h("div", {}, dot, state),
        time,
        h("div", { class: "lt-transcribe-level", role: "img", "aria-label": t("recorder.level") }, level),
        note,
        h(
          "div",
          { class: "lt-row" },
          stop,
          halt,
          button(t("recorder.discard"), () => this.discardRecording(), { kind: "quiet" }),
        ),
      ),
    );
    stop.focus();
  }

  /** From the next word on another one: what was said so far is kept as a file of its own. */
  async changeMicrophone(control) {
    const deviceId = control.value;
    if (this.recorder.seconds > 2) this.keepRecording();
    else this.endRecording();
    await this.record(null, deviceId);
  }

  endRecording() {
    const file = this.recorder?.stop() || null;
    this.recorder = null;
    isRecording = false;
    fill(this.drop, this.give);
    return file;
  }

  takeSpoken(file) {
    spoken.add(file);
    this.take([{ file, path: "" }]);
  }

  keepRecording() {
    const file = this.endRecording();
    if (file) this.takeSpoken(file);
    if (this.isConnected) (this.starter.querySelector("button") || this.drop.querySelector("button"))?.focus();
  }

  discardRecording() {
    const file = this.endRecording();
    if (file)
      toast(t("recorder.discarded"), {
        action: {
          text: t("undo"),
          run: () => {
            this.takeSpoken(file);
            if (!this.isConnected) go("");
          },
        },
      });
    this.drop.querySelector("button")?.focus();
  }
}

customElements.define("lt-transcribe", TranscribePage);

/** The same children stay where they are, so focus and scrolling do too. */
function put(into, children) {
  children.forEach((child, i) => {
    if (into.children[i] !== child) into.insertBefore(child, into.children[i] || null);
  });
  while (into.children.length > children.length) into.lastElementChild.remove();
}
