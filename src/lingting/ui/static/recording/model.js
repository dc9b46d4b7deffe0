// A recording and its transcript as a page works with them: loaded by the page, changed at once,
// saved soon, taken back step by step. Panels and the transcript only talk to this.

import { ApiError, api } from "../core/api.js";
import { isFinished } from "../core/jobs.js";
import { t } from "../core/words.js";
import { Colours } from "./colours.js";
import { Saver } from "./saving.js";

const PAGE = 100;
const AT_ONCE = 1000;

export class RecordingModel extends EventTarget {
  #basis = null;
  #asked = 0;

  /** `me`: the answer of /users/me. */
  constructor(id, me) {
    super();
    this.id = id;
    this.me = me;
    this.recording = null;
    this.job = null;
    this.revision = 0;
    this.current = 0;
    this.total = 0;
    this.layer = "written";
    this.selection = null;
    this.player = null;
    this.colours = new Colours();
    this.segments = [];
    this.loading = new Map();
    this.done = [];
    this.undone = [];
    this.isRefused = false;
    this.saver = new Saver(id, me.user, {
      revision: () => this.#basis ?? this.current,
      saved: (revision, sent) => this.#saved(revision, sent),
      conflict: (changes) => this.#conflict(changes),
      state: (state, error) => this.#tell("saving", { state, error }),
    });
  }

  #tell(name, detail = {}) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // Reading ---------------------------------------------------------------------------------

  /** What is known of the recording, its newest job, and the first page. */
  async open() {
    await this.refresh();
    if (!this.recording.revision) return;
    await this.#begin(null);
    await this.#takeUp();
  }

  /** The facts again, and the newest job. */
  async refresh() {
    this.recording = await api.get(`/recordings/${this.id}`);
    this.job = this.recording.job;
    this.#tell("recording");
  }

  /** The transcript again, as it is on the service. */
  async reload() {
    await this.refresh();
    await this.#begin(null);
  }

  /** Look at an earlier state; null: the current one again. */
  async show(revision) {
    await this.flush();
    await this.#begin(revision === this.current ? null : revision);
  }

  #page(start, limit, revision = null) {
    return api.get(`/transcripts/${this.id}/segments`, { start, limit, revision });
  }

  async #begin(revision) {
    const asked = ++this.#asked;
    const page = await this.#page(0, PAGE, revision);
    if (asked !== this.#asked) return;
    // What is not saved was made on what was there before, and is still compared with it.
    if (this.saver.isDirty) this.#basis ??= this.current;
    this.#draw(page, revision === null);
  }

  /** Another state is shown: its first page, and `more` segments of it that are known. */
  #draw(page, isCurrent, more = []) {
    this.#asked += 1;
    if (isCurrent) this.current = this.recording.revision = page.revision;
    this.done = [];
    this.undone = [];
    this.segments = [];
    this.loading.clear();
    this.#take(page, 0);
    for (const one of more) this.segments[one.position] ||= this.#withPending(one);
    this.#tell("revision");
    this.#tell("changed", { from: 0, to: this.total, isNew: true });
    this.#tell("steps");
  }

  #take(page, start) {
    this.revision = page.revision;
    if (this.segments.length !== page.total) this.segments.length = page.total;
    this.total = page.total;
    page.items.forEach((one, at) => {
      const position = start + at;
      this.segments[position] ||= this.#withPending({ ...one, position });
    });
  }

  /** What is not saved yet is shown nevertheless. */
  #withPending(segment) {
    const change = this.saver.pending.get(segment.position) || this.saver.sending?.get(segment.position);
    return change && this.isCurrent ? changed(segment, change) : segment;
  }

  get isCurrent() {
    return this.revision === this.current;
  }

  get(position) {
    const found = this.segments[position];
    if (!found && position >= 0 && position < this.total) this.ensure(position, position + 1).catch(() => {});
    return found || null;
  }

  /** Those positions are loaded behind it (`to` is exclusive). */
  async ensure(from, to) {
    const waits = [];
    const last = Math.min(to, this.total);
    for (let at = Math.max(0, from); at < last; at += 1) {
      if (this.segments[at]) continue;
      const start = at - (at % PAGE);
      waits.push(this.#load(start));
      at = start + PAGE - 1;
    }
    await Promise.all(waits);
  }

  #load(start) {
    const known = this.loading.get(start);
    if (known) return known;
    const at = this.segments;
    const work = this.#page(start, PAGE, this.revision)
      .then((page) => {
        // Meanwhile another state may be shown, or this one may have got a new number by our changes.
        if (at !== this.segments) return;
        const kept = this.revision;
        this.#take(page, start);
        this.revision = kept;
        this.#tell("changed", { from: start, to: start + page.items.length, isLoaded: true });
      })
      .finally(() => this.loading.delete(start));
    this.loading.set(start, work);
    return work;
  }

  /** All segments in order. */
  async all() {
    for (let start = 0; start < this.total; start += AT_ONCE) await this.ensure(start, start + AT_ONCE);
    return this.segments;
  }

  /** The position that is heard at a time: loads what it needs to find it. */
  async locate(time) {
    if (!this.total) return null;
    let low = 0;
    let high = this.total - 1;
    let guess = Math.round((time / (this.duration || 1)) * high);
    for (let tries = 0; low < high && tries < 20; tries += 1) {
      guess = Math.min(high, Math.max(low, guess));
      await this.ensure(guess, guess + 1);
      if (!this.segments[guess]) return null; // another state is shown by now
      const [from, to] = this.#loadedAround(guess);
      if (this.segments[from].start_s > time) high = Math.max(low, from - 1);
      else if (
        to < this.total
        && to <= high
        && this.segments[to - 1].end_s < time
        && !(this.segments[to]?.start_s > time)
      )
        low = to;
      else return this.positionAt(time, from, to);
      const [a, b] = [this.segments[low]?.start_s ?? 0, this.segments[high]?.start_s ?? this.duration];
      guess = b > a ? low + Math.round(((time - a) / (b - a)) * (high - low)) : (low + high) >> 1;
      if (tries > 6) guess = (low + high) >> 1;
    }
    await this.ensure(low, low + 1);
    return low;
  }

  #loadedAround(position) {
    const from = position - (position % PAGE);
    let first = position;
    let last = position;
    while (first > from && this.segments[first - 1]) first -= 1;
    while (last < this.total && this.segments[last] && last < from + PAGE) last += 1;
    return [first, last];
  }

  /** The same among those that are loaded; null while that is not known. */
  positionAt(time, from = 0, to = this.total) {
    let low = from;
    let high = to;
    while (low < high) {
      const middle = (low + high) >> 1;
      const one = this.segments[middle];
      if (!one) return this.#nearby(time);
      if (one.start_s <= time + 1e-3) low = middle + 1;
      else high = middle;
    }
    return low - 1 >= from ? low - 1 : this.total && from === 0 ? 0 : from;
  }

  #nearby(time) {
    const start = this.lastFound ?? 0;
    for (let at = Math.max(0, start - 2); at < Math.min(this.total, start + 6); at += 1) {
      const one = this.segments[at];
      const next = this.segments[at + 1];
      if (one && one.start_s <= time && (next ? next.start_s > time : time <= one.end_s)) return at;
    }
    return null;
  }

  // Changing --------------------------------------------------------------------------------

  get isReadOnly() {
    return this.whyReadOnly !== null;
  }

  /** Key of the sentence that says why nothing can be changed here, or null. Courtesy: the service decides. */
  get whyReadOnly() {
    const { recording: it, me } = this;
    if (!it) return "recording.readOnly.others";
    if (!me.scopes.includes("write") && !me.scopes.includes("admin")) return "recording.readOnly.scope";
    if (it.deleted_at) return "recording.readOnly.deleted";
    const isMine =
      me.scopes.includes("admin")
      || it.owner === me.user
      || (me.role === "manager" && it.department && it.department === me.department);
    if (!isMine || this.isRefused) return "recording.readOnly.others";
    if (this.job && !isFinished(this.job) && !it.revision) return "recording.readOnly.running";
    if (!this.isCurrent) return "recording.readOnly.earlier";
    return null;
  }

  /** Whoever may change the recording, whatever state its transcript is in. */
  get mayChange() {
    return [null, "recording.readOnly.earlier", "recording.readOnly.running"].includes(this.whyReadOnly);
  }

  /** Change texts and speakers: shown at once, saved soon, one step of undo. Whether anything is different now. */
  async change(changes) {
    if (this.isReadOnly) return false;
    await Promise.all(
      changes.filter((one) => !this.segments[one.position]).map((one) => this.ensure(one.position, one.position + 1)),
    );
    return this.write(changes);
  }

  /** The same for segments that are loaded, at once. `isTyping`: one step with what was typed there before. */
  write(changes, { isTyping = false } = {}) {
    const steps = [];
    for (const { position, ...wish } of changes) {
      const before = this.segments[position];
      if (!before || this.isReadOnly) continue;
      const after = changed(before, wish);
      if (after.text === before.text && after.speaker === before.speaker) continue;
      steps.push({ position, before, after });
    }
    if (!steps.length) return false;
    const last = this.done.at(-1);
    if (isTyping && last?.isTyping && last.steps.length === 1 && last.steps[0].position === steps[0].position)
      last.steps[0].after = steps[0].after;
    else this.done.push({ steps, isTyping });
    if (this.done.length > 500) this.done.shift();
    this.undone = [];
    this.#put(
      steps.map((step) => [step.position, step.before, step.after]),
      isTyping,
    );
    return true;
  }

  #put(list, isTyping = false) {
    for (const [position, before, after] of list) {
      this.segments[position] = after;
      const change = {};
      if (after.text !== before.text) change.text = after.text;
      if (after.speaker !== before.speaker) change.speaker = after.speaker;
      this.saver.put(position, change, {
        text: before.text,
        speaker: before.speaker,
        start_s: before.start_s,
        end_s: before.end_s,
      });
    }
    const places = list.map(([position]) => position);
    const from = places.reduce((a, b) => Math.min(a, b));
    const to = places.reduce((a, b) => Math.max(a, b)) + 1;
    this.#tell("changed", { from, to, isTyping });
    this.#tell("steps");
  }

  /** Typing in this segment is over: the next letter is another step. */
  endTyping() {
    const last = this.done.at(-1);
    if (last) last.isTyping = false;
  }

  get canUndo() {
    return this.done.length > 0 && !this.isReadOnly;
  }
  get canRedo() {
    return this.undone.length > 0 && !this.isReadOnly;
  }

  undo() {
    this.#step(this.done, this.undone, "after", "before");
  }
  redo() {
    this.#step(this.undone, this.done, "before", "after");
  }

  #step(from, to, is, was) {
    const step = this.isReadOnly ? null : from.pop();
    if (!step) return;
    step.isTyping = false;
    to.push(step);
    this.#put(step.steps.map((one) => [one.position, this.segments[one.position] || one[is], one[was]]));
    this.select(step.steps[0].position);
  }

  #saved(revision, sent) {
    if (this.isCurrent) this.revision = revision;
    this.current = this.recording.revision = revision;
    this.#basis = null;
    // What is typed on top of it is now on top of what was sent.
    for (const [position, change] of sent) {
      const waiting = this.saver.pending.get(position);
      if (waiting)
        waiting.base = {
          ...waiting.base,
          ...("text" in change && { text: change.text }),
          ...("speaker" in change && { speaker: change.speaker }),
        };
    }
    this.#tell("revision");
  }

  /** Everything is on the service behind it; false when it could not be sent. */
  flush() {
    return this.saver.flush();
  }

  /** The same for what would be wrong without it. */
  async saved() {
    if (!(await this.flush())) throw new ApiError(409, { code: "unsaved", message: t("recording.unsaved") });
  }

  /**
   * Somebody else was quicker. Segments they left alone take our change without a question; for
   * the others the page asks: 'conflict' has `theirs`, `mine` and `resolve("mine"|"theirs")`.
   */
  async #conflict(changes) {
    let found;
    try {
      found = await this.#theirs(changes);
    } catch (error) {
      this.saver.say(error.status === 0 ? "offline" : "failed", error);
      if (error.status === 0) this.saver.soon(4000);
      return false;
    }
    const { page, theirs, matched, clashes } = found;
    let choice = "mine";
    if (clashes.length) {
      if (this.isClosed) return false; // nobody is there to ask: it is kept for the next time
      choice = await new Promise((resolve) => this.#tell("conflict", { clashes, resolve }));
      if (choice === undefined) {
        this.saver.say("failed");
        return false;
      }
    }
    const clashing = new Set(clashes.map((one) => one.position));
    const all = [...changes];
    changes.clear();
    for (const [position, change] of all) {
      const there = matched.get(position);
      if (!there || (choice === "theirs" && clashing.has(position))) continue;
      changes.set(there.position, {
        ...change,
        base: { text: there.text, speaker: there.speaker, start_s: there.start_s, end_s: there.end_s },
      });
    }
    this.#basis = null;
    this.#draw(page, true, theirs.values());
    this.saver.keep();
    return true;
  }

  /** The current state where we changed something and where somebody may be typing, beside ours. */
  async #theirs(changes) {
    const page = await this.#page(0, PAGE);
    const isSame = page.total === this.total;
    const theirs = new Map();
    const take = (start, items) => items.forEach((one, at) => theirs.set(start + at, { ...one, position: start + at }));
    const read = async (start, limit) => take(start, (await this.#page(start, limit, page.revision)).items);
    take(0, page.items);
    // What is typed meanwhile is looked at as well.
    const unread = () => [...changes.keys(), this.selection ?? 0].filter((at) => at < page.total && !theirs.has(at));
    if (isSame && changes.size <= 20) while (unread().length) await Promise.all(unread().map((at) => read(at, 1)));
    else for (let start = PAGE; start < page.total; start += AT_ONCE) await read(start, AT_ONCE);
    const byTime = isSame ? null : new Map([...theirs.values()].map((one) => [`${one.start_s} ${one.end_s}`, one]));
    const matched = new Map();
    const clashes = [];
    for (const [position, change] of changes) {
      const { base } = change;
      const there = byTime ? byTime.get(`${base.start_s} ${base.end_s}`) : theirs.get(position);
      if (there) matched.set(position, there);
      const isClash =
        !there
        || ("text" in change && there.text !== base.text && there.text !== change.text)
        || ("speaker" in change && there.speaker !== base.speaker && there.speaker !== change.speaker);
      if (isClash)
        clashes.push({ position, start_s: base.start_s, mine: { ...base, ...change }, theirs: there || null });
    }
    return { page, theirs, matched, clashes };
  }

  /** What a page that was closed had not saved yet. */
  async #takeUp() {
    const left = this.saver.left();
    if (!left?.changes?.length || this.isReadOnly) return;
    // It was made on what was there then: the service says if that is no more.
    this.#basis = left.revision;
    for (const [position, { base, ...change }] of left.changes) this.saver.put(position, change, base);
    for (const [position, change] of left.changes) {
      await this.ensure(position, position + 1);
      if (this.segments[position]) this.segments[position] = changed(this.segments[position], change);
    }
    this.left = left.changes.length;
  }

  async restore(revision) {
    await this.saved();
    await api.post(`/transcripts/${this.id}/restore`, { revision });
    await this.reload();
  }

  async rename(name) {
    this.recording = { ...this.recording, ...(await api.patch(`/recordings/${this.id}`, { name })) };
    this.#tell("recording");
  }

  async tag(add, remove) {
    const found = await api.post(`/recordings/${this.id}/tags`, { add, remove });
    this.recording = { ...this.recording, tags: found.tags };
    this.#tell("recording");
  }

  // Playing and showing ---------------------------------------------------------------------

  get time() {
    return this.player?.time ?? 0;
  }
  get duration() {
    return this.recording?.duration_s || this.player?.duration || 0;
  }
  get isPlaying() {
    return Boolean(this.player?.isPlaying);
  }
  seek(s) {
    this.player?.seek(s);
    this.#tell("seek", { time: s });
  }

  /** `isQuiet`: nothing is lit, and the transcript stays where it is. */
  select(position, { isQuiet = false } = {}) {
    this.selection = position;
    this.#tell("select", { position, isQuiet });
  }

  marks(list) {
    this.#tell("marks", { list });
  }
  highlight(map) {
    this.found = map;
    this.#tell("highlight", {});
  }
  setLayer(layer) {
    this.layer = layer;
    this.#tell("layer", { layer });
  }
  mark(id) {
    this.#tell("mark", { id });
  }

  /** 'frame' at every frame, 'time' at most ten times a second. */
  ticked(time) {
    this.#tell("frame", { time });
    const now = performance.now();
    if (now - this.tickedAt < 100 && this.isPlaying) return;
    this.tickedAt = now;
    this.#tell("time", { time });
  }

  close() {
    this.isClosed = true;
    this.saver.close();
  }
}

/** A segment with another text or speaker, as the service changes it. */
function changed(segment, wish) {
  const made = { ...segment };
  if (wish.text !== undefined && wish.text !== null && wish.text !== segment.text)
    Object.assign(made, { text: wish.text, edits: [], failure: null });
  if ("speaker" in wish) made.speaker = wish.speaker || null;
  return made;
}
