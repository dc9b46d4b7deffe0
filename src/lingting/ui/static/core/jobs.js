// Jobs as they are now: fetched once, then kept current by events.

import { api, listen } from "./api.js";

const FETCHES = 4;
const STATES = {
  "job.queued": "queued", "job.started": "running", "job.paused": "paused", "job.done": "done", "job.failed": "failed", "job.cancelled": "cancelled",
};
const UNCLAIMED = 500;

export const isFinished = (job) => ["done", "failed", "cancelled"].includes(job.state);

/** How far it is, 0 to 1; null while nobody knows. */
export function shareOf(job) {
  if (job.state === "done") return 1;
  return job.total_s > 0 ? Math.min(1, job.done_s / job.total_s) : null;
}

/**
 * A set of jobs. `changed(job)` is called for each change; `stop()` when nobody looks any more, and
 * `start()` again: what happened meanwhile is fetched.
 */
export class LiveJobs {
  constructor(changed, { batch = null } = {}) {
    this.jobs = new Map();
    this._changed = changed;
    this._batch = batch;
    this._wanted = new Set();
    this._fetching = 0;
    this._unclaimed = new Map();
    this._stop = null;
    this._back = ({ detail }) => { if (detail) this.refresh(); };
  }

  start() {
    if (this._stop) return;
    this._stop = listen((event) => this._heard(event));
    // The stream begins some moments after it was asked for, and again after a lost connection.
    document.addEventListener("lt-connection", this._back);
    this.refresh();
  }

  stop() {
    this._stop?.();
    this._stop = null;
    document.removeEventListener("lt-connection", this._back);
    this._wanted.clear();
  }

  /** Follow a job from now on. */
  put(job) {
    this.jobs.set(job.id, job);
    if (this._unclaimed.delete(job.id) && !isFinished(job)) this.want(job.id);
    this._changed(job);
  }

  drop(id) { this.jobs.delete(id); this._wanted.delete(id); }

  /** Those that are not finished, once more. */
  refresh() { for (const job of this.jobs.values()) if (!isFinished(job)) this.want(job.id); }

  _heard(event) {
    if (!event.job_id) return;
    const job = this.jobs.get(event.job_id);
    if (!job) {
      if (this._batch && event.batch_id === this._batch) this.want(event.job_id);
      this._unclaimed.set(event.job_id, true);
      if (this._unclaimed.size > UNCLAIMED) this._unclaimed.delete(this._unclaimed.keys().next().value);
      return;
    }
    if (event.kind === "job.progress") Object.assign(job, event.data, { state: "running", eta_s: etaOf(job, event) });
    else if (event.kind === "job.done") Object.assign(job, { state: "done", revision: event.data.revision, done_s: event.data.duration_s, total_s: event.data.duration_s, eta_s: null, error: null });
    else if (event.kind in STATES) Object.assign(job, { state: STATES[event.kind], eta_s: null });
    if (event.kind === "job.started") Object.assign(job, { started_at: event.at, error: null });
    if (["job.failed", "job.resumed"].includes(event.kind)) this.want(job.id);
    this._changed(job);
  }

  /** Fetch it soon. */
  want(id) {
    this._wanted.add(id);
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._fetch(), 50);
  }

  _fetch() {
    while (this._fetching < FETCHES && this._wanted.size) {
      const id = this._wanted.values().next().value;
      this._wanted.delete(id);
      this._fetching += 1;
      api.get(`/jobs/${id}`).then((job) => {
        this.jobs.set(id, job);
        this._changed(job);
      }, (error) => { if (error.status === 404) this.jobs.delete(id); }).finally(() => { this._fetching -= 1; this._fetch(); });
    }
  }
}

/** From how fast it has been so far. */
function etaOf(job, event) {
  const { done_s: done, total_s: total } = event.data;
  const took = (Date.parse(event.at) - Date.parse(job.started_at)) / 1000;
  return done > 0 && total > 0 && took > 0 ? Math.max(0, (total - done) * took / done) : null;
}
