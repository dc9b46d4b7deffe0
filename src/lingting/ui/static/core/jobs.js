// Jobs as they are now: fetched once, then kept current by events.

import { api, listen, pages } from "./api.js";

const FETCHES = 4;
const MANY = 10;
const STATES = {
  "job.queued": "queued",
  "job.started": "running",
  "job.paused": "paused",
  "job.resumed": "queued",
  "job.done": "done",
  "job.failed": "failed",
  "job.cancelled": "cancelled",
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
    this._unclaimed = new Set();
    // An answer may be older than an event that came while it was on its way.
    this._events = 0;
    this._heardAt = new Map();
    this._stop = null;
    this._back = ({ detail }) => {
      if (detail) this.refresh();
    };
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
    const known = this.jobs.get(job.id);
    const isDoubtful = this._unclaimed.delete(job.id) || (known && known.state !== job.state);
    this.jobs.set(job.id, job);
    if (isDoubtful && !isFinished(job)) this.want(job.id);
    this._changed(job);
  }

  /** Those that are not finished, once more. */
  refresh() {
    for (const job of this.jobs.values()) if (!isFinished(job)) this.want(job.id);
  }

  _heard(event) {
    if (!event.job_id) return;
    const job = this.jobs.get(event.job_id);
    if (!job) {
      if (this._batch && event.batch_id === this._batch) this.want(event.job_id);
      this._unclaimed.add(event.job_id);
      if (this._unclaimed.size > UNCLAIMED) this._unclaimed.delete(this._unclaimed.values().next().value);
      return;
    }
    this._heardAt.set(job.id, ++this._events);
    if (event.kind === "job.progress") Object.assign(job, event.data, { state: "running", eta_s: etaOf(job, event) });
    else if (event.kind === "job.done")
      Object.assign(job, {
        state: "done",
        revision: event.data.revision,
        done_s: event.data.duration_s,
        total_s: event.data.duration_s,
        eta_s: null,
        error: null,
      });
    else if (event.kind in STATES) Object.assign(job, { state: STATES[event.kind], eta_s: null });
    if (["job.started", "job.queued"].includes(event.kind)) job.error = null;
    if (event.kind === "job.started") job.started_at = event.at;
    if (event.kind === "job.failed") this.want(job.id);
    this._changed(job);
  }

  /** Fetch it soon. */
  want(id) {
    this._wanted.add(id);
    this._timer ||= setTimeout(() => {
      this._timer = 0;
      this._fetch();
    }, 100);
  }

  _fetch() {
    if (this._wanted.size > MANY) {
      this._fetchPages();
      return;
    }
    while (this._fetching < FETCHES && this._wanted.size) {
      const id = this._wanted.values().next().value;
      this._wanted.delete(id);
      this._fetching += 1;
      const asked = this._events;
      api
        .get(`/jobs/${id}`)
        .then(
          (job) => this._take(job, asked),
          (error) => {
            if (error.status === 404) this.jobs.delete(id);
          },
        )
        .finally(() => {
          this._fetching -= 1;
          if (this._wanted.size) this._fetch();
        });
    }
  }

  /** Many at once: as pages of a list, the newest first, until none is missing or all that follow are older. */
  async _fetchPages() {
    if (this._isReading) return;
    this._isReading = true;
    const missing = new Set(this._wanted);
    this._wanted.clear();
    const oldest = [...missing].map((id) => this.jobs.get(id)?.created_at ?? "").sort()[0];
    let asked = this._events;
    try {
      for await (const page of pages("/jobs", { batch: this._batch, limit: 500 })) {
        for (const job of page.items) if (missing.delete(job.id) || this.jobs.has(job.id)) this._take(job, asked);
        if (!missing.size || !this._stop || page.items.at(-1)?.created_at < oldest) break;
        asked = this._events;
      }
    } catch {
      /* when the connection is back, all that is not finished is asked for again */
    }
    this._isReading = false;
    if (this._wanted.size) this.want(this._wanted.values().next().value);
  }

  /** What was answered; `asked` is how many events had been heard when it was asked for. */
  _take(job, asked) {
    if (this._heardAt.get(job.id) > asked) {
      if (this.jobs.get(job.id)?.state !== job.state) this.want(job.id);
      return;
    }
    this._heardAt.delete(job.id);
    this.jobs.set(job.id, job);
    this._changed(job);
  }
}

/** From how fast it has been so far. */
function etaOf(job, event) {
  const { done_s: done, total_s: total } = event.data;
  const took = (Date.parse(event.at) - Date.parse(job.started_at)) / 1000;
  return done > 0 && total > 0 && took > 0 ? Math.max(0, ((total - done) * took) / done) : null;
}
