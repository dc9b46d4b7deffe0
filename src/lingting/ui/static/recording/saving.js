// What was changed and is not on the service yet: sent soon, kept while it cannot be.

import { api } from "../core/api.js";

const SOON_MS = 1200, AT_ONCE = 1000;
const WAITS_MS = [2000, 4000, 8000, 15_000, 30_000];
const LEFT_OUT = new Set(["store.revision_conflict"]);

/**
 * One queue for one recording. `hooks`: `revision()` that changes are based on, `saved(revision,
 * sent)`, `conflict(changes)` → whether to go on, `state(name, error)`.
 *
 * States: saved, waiting (typed, not sent yet), saving, offline (tried again by itself), failed
 * (refused: tried again when asked, or with the next change).
 */
export class Saver {
  constructor(id, hooks) {
    this.id = id;
    this.hooks = hooks;
    this.pending = new Map();
    this.sending = null;
    this.state = "saved";
    this.error = null;
    this.tries = 0;
    this.timer = 0;
    this.leaving = (event) => { if (this.isDirty) { this.keep(); event.preventDefault(); } };
    this.online = () => { if (this.state === "offline") this.soon(0); };
    addEventListener("beforeunload", this.leaving);
    addEventListener("online", this.online);
    addEventListener("focus", this.online);
  }

  get isDirty() { return this.pending.size > 0 || this.sending !== null; }

  /** Whether a segment has something that is not saved. */
  has(position) { return this.pending.has(position) || Boolean(this.sending?.has(position)); }

  /** `base`: what the service has, to be told apart from what somebody else wrote meanwhile. */
  put(position, change, base) {
    const before = this.pending.get(position);
    const known = before?.base ?? this.sending?.get(position)?.base ?? base;
    this.pending.set(position, { ...before, ...change, base: known });
    this.keep();
    if (this.state !== "saving" && this.state !== "offline") this.say("waiting");
    if (this.state !== "offline") this.soon(SOON_MS);
  }

  soon(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), ms);
  }

  /** Send everything now; true when nothing is left. */
  async flush() {
    clearTimeout(this.timer);
    if (this.running) {
      await this.running;
      if (!this.pending.size) return true;
    }
    if (!this.pending.size) return true;
    this.running = this.send().finally(() => { this.running = null; });
    await this.running;
    return !this.isDirty;
  }

  async send() {
    while (this.pending.size) {
      const sent = new Map([...this.pending].slice(0, AT_ONCE));
      for (const position of sent.keys()) this.pending.delete(position);
      this.sending = sent;
      this.say("saving");
      try {
        const segments = [...sent].map(([position, { base, ...change }]) => ({ position, ...change }));
        const { revision } = await api.patch(`/transcripts/${this.id}`, { based_on: this.hooks.revision(), segments });
        this.sending = null;
        this.tries = 0;
        this.hooks.saved(revision, sent);
      } catch (error) {
        this.back(sent);
        if (!(await this.refused(error))) return;
      }
    }
    this.keep();
    this.say("saved");
  }

  /** What could not be sent is pending again, below what was typed since. */
  back(sent) {
    this.sending = null;
    for (const [position, change] of sent) this.pending.set(position, { ...change, ...this.pending.get(position), base: change.base });
    this.keep();
  }

  /** Whether to go on at once. */
  async refused(error) {
    if (LEFT_OUT.has(error.code)) return this.hooks.conflict(this.pending);
    const isPassing = error.status === 0 || error.status === 401 || error.status === 429 || error.status >= 500;
    this.say(isPassing ? "offline" : "failed", error);
    if (isPassing) {
      const wait = error.retryAfterS ? 1000 * error.retryAfterS : WAITS_MS[Math.min(this.tries, WAITS_MS.length - 1)];
      this.tries += 1;
      if (error.status !== 401) this.soon(wait);  // behind a new login the window gets the focus
    }
    return false;
  }

  say(state, error = null) {
    this.state = state;
    this.error = error;
    this.hooks.state(state, error);
  }

  /** In this tab only, so that a page that is loaded again has it still. */
  keep() {
    const name = `lingting.draft.${this.id}`;
    const all = [...(this.sending || []), ...this.pending];
    try {
      if (!all.length) sessionStorage.removeItem(name);
      else sessionStorage.setItem(name, JSON.stringify({ revision: this.hooks.revision(), changes: all }));
    } catch { /* no room: it is still on the page */ }
  }

  /** What was left by a page that was closed or loaded again: {revision, changes} or null. */
  left() {
    try { return JSON.parse(sessionStorage.getItem(`lingting.draft.${this.id}`)); } catch { return null; }
  }

  forget(positions = [...this.pending.keys()]) {
    for (const position of positions) this.pending.delete(position);
    this.keep();
    if (!this.isDirty) this.say("saved");
  }

  close() {
    clearTimeout(this.timer);
    removeEventListener("beforeunload", this.leaving);
    removeEventListener("online", this.online);
    removeEventListener("focus", this.online);
  }
}
