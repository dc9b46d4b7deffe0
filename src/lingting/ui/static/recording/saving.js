// What was changed and is not on the service yet: sent soon, kept while it cannot be.

import { api } from "../core/api.js";

const SOON_MS = 1200;
const AT_ONCE = 1000;
const WAITS_MS = [2000, 4000, 8000, 15_000, 30_000];
const LEFT_OUT = new Set(["store.revision_conflict"]);

/** What pages that were left had not sent yet: goes on by itself, until the recording is opened again. */
const left = new Map();

/**
 * One queue for one recording of one user. `hooks`: `revision()` that changes are based on,
 * `saved(revision, sent)`, `conflict(changes)` → whether to go on, `state(name, error)`.
 *
 * States: saved, waiting (typed, not sent yet), saving, offline (tried again by itself), failed
 * (refused: tried again when asked, or with the next change).
 */
export class Saver {
  constructor(id, user, hooks) {
    this.id = id;
    this.draft = `lingting.draft.${user}.${id}`;
    left.get(this.draft)?.end();
    this.hooks = hooks;
    this.pending = new Map();
    this.sending = null;
    this.state = "saved";
    this.tries = 0;
    this.timer = 0;
    this.leaving = (event) => {
      if (this.isDirty) {
        this.keep();
        event.preventDefault();
      }
    };
    this.online = () => {
      if (this.state === "offline") this.soon(0);
    };
    addEventListener("beforeunload", this.leaving);
    addEventListener("online", this.online);
    addEventListener("focus", this.online);
  }

  get isDirty() {
    return this.pending.size > 0 || this.sending !== null;
  }

  /** `base`: what the service has, to be told apart from what somebody else wrote meanwhile. */
  put(position, change, base) {
    const before = this.pending.get(position);
    const sending = this.sending?.get(position);
    const made = { ...before, ...change, base: before?.base ?? sending?.base ?? base };
    // What was taken back before it was sent is no change.
    if (!sending && ["text", "speaker"].every((name) => !(name in made) || made[name] === made.base[name]))
      this.pending.delete(position);
    else this.pending.set(position, made);
    this.keep();
    if (!this.isDirty) {
      clearTimeout(this.timer);
      this.say("saved");
      return;
    }
    if (this.state !== "saving" && this.state !== "offline") this.say("waiting");
    if (this.state !== "offline") this.soon(SOON_MS);
  }

  soon(ms) {
    clearTimeout(this.timer);
    if (!this.isEnded) this.timer = setTimeout(() => this.flush(), ms);
  }

  /** Send everything now; true when nothing is left. */
  async flush() {
    clearTimeout(this.timer);
    while (this.running) await this.running; // another one who waited may have begun meanwhile
    if (this.pending.size && !this.isEnded) {
      this.running = this.send().finally(() => {
        this.running = null;
      });
      await this.running;
    }
    return !this.isDirty;
  }

  async send() {
    while (this.pending.size && !this.isEnded) {
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
    if (this.isLeft) this.end();
  }

  /** What could not be sent is pending again, below what was typed since. */
  back(sent) {
    this.sending = null;
    for (const [position, change] of sent)
      this.pending.set(position, { ...change, ...this.pending.get(position), base: change.base });
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
      if (error.status !== 401) this.soon(wait); // behind a new login the window gets the focus
    }
    return false;
  }

  say(state, error = null) {
    this.state = state;
    this.hooks.state(state, error);
  }

  /** In this tab only, so that a page that is loaded again has it still. */
  keep() {
    if (this.isEnded) return;
    const all = [...(this.sending || []), ...this.pending];
    try {
      if (!all.length) sessionStorage.removeItem(this.draft);
      else sessionStorage.setItem(this.draft, JSON.stringify({ revision: this.hooks.revision(), changes: all }));
    } catch {
      /* no room: it is still on the page */
    }
  }

  /** What was left by a page that was closed or loaded again: {revision, changes} or null. */
  left() {
    try {
      return JSON.parse(sessionStorage.getItem(this.draft));
    } catch {
      return null;
    }
  }

  /** The page is left. What waits is sent nevertheless, and who closes the tab before it is is warned. */
  close() {
    if (!this.isDirty) {
      this.end();
      return;
    }
    this.isLeft = true;
    left.set(this.draft, this);
    this.flush();
  }

  end() {
    this.isEnded = true;
    if (left.get(this.draft) === this) left.delete(this.draft);
    clearTimeout(this.timer);
    removeEventListener("beforeunload", this.leaving);
    removeEventListener("online", this.online);
    removeEventListener("focus", this.online);
  }
}
