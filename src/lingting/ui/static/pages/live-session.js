// One live session: the microphone, its pieces and their captions, and how it is kept as a recording.
// It belongs to no element: whoever looks at another page meanwhile loses nothing.

import { hear } from "../core/hear.js";
import { isFinished, LiveJobs } from "../core/jobs.js";
import { Pauses } from "../core/pauses.js";
import { header, Recorder } from "../core/recorder.js";
import { isPassing, newKey, pause, send } from "../core/upload.js";

const AT_ONCE = 2;
const LONGEST_PAUSE_MS = 10_000;
const ASKED_MS = 5000;

/** States: asking, on, stopped, saving, saved, failed. A piece: {at_s, text, state, error}; heard, waiting, failed. */
export class Session {
  /**
   * `options` are fields of the forms: language, glossary. Whoever looks on sets `changed(piece)`, for each
   * change, of a piece or of all; `leveled(level)`; and `ended()`, when the microphone is taken away.
   */
  constructor({ options }) {
    Object.assign(this, { options, changed: () => {}, leveled: () => {}, ended: () => {} });
    this.pieces = [];
    this.state = "asking";
    this.file = null;
    this.isQuiet = this.isLost = this.isHearing = false;
    this.share = 0;
    this.job = null;
    this.error = null;
    this.startedAt = new Date();
    this._asking = 0;
    this._control = new AbortController();
    this._recorder = new Recorder({
      onlevel: (level) => this.leveled(level),
      onquiet: (is) => {
        this.isQuiet = is;
        this._tell();
      },
      onended: () => this.ended(),
      onblock: (block, rate) => this._block(block, rate),
    });
  }

  get seconds() {
    return this._seconds ?? this._recorder.seconds;
  }
  get isUnsaved() {
    return ["on", "stopped", "saving", "failed"].includes(this.state);
  }
  get text() {
    return this.pieces
      .map((one) => one.text)
      .filter(Boolean)
      .join("\n");
  }

  _tell(piece = null) {
    this.changed(piece);
  }

  /** Raises ApiError for a microphone that cannot be had. */
  async start(deviceId) {
    await this._recorder.start(deviceId);
    if (this.state !== "asking") {
      this._recorder.discard();
      return;
    }
    this.state = "on";
    this._tell();
  }

  _block(block, rate) {
    this._pauses ||= new Pauses({
      rate,
      onspeech: (is) => {
        this.isHearing = is;
        this._tell();
      },
      onpiece: (frames, at_s) => this._piece(frames, at_s, rate),
    });
    this._pauses.push(block);
  }

  _piece(frames, at_s, rate) {
    const samples = new Int16Array(frames.reduce((sum, one) => sum + one.length, 0));
    let at = 0;
    for (const frame of frames) for (const value of frame) samples[at++] = Math.max(-1, Math.min(1, value)) * 32767;
    const audio = new Blob([header(samples.length, rate), samples], { type: "audio/wav" });
    this.pieces.push({ at_s, audio, text: "", state: "waiting", error: null, isAsked: false, tries: 0 });
    this._tell(this.pieces.at(-1));
    this._pump();
  }

  _pump() {
    for (const piece of this.pieces) {
      if (this._asking >= AT_ONCE) return;
      if (piece.state === "waiting" && !piece.isAsked) this._ask(piece);
    }
  }

  async _ask(piece) {
    piece.isAsked = true;
    this._asking += 1;
    let wait_ms = 0;
    try {
      piece.text = await hear(piece.audio, {
        name: "caption.wav",
        options: this.options,
        signal: this._control.signal,
        onText: (so) => {
          piece.text = so;
          this._tell(piece);
        },
      });
      Object.assign(piece, { state: "heard", audio: null });
      this.isLost = false;
    } catch (error) {
      if (error.name === "AbortError") return;
      if (isPassing(error)) {
        this.isLost = error.isOffline;
        wait_ms = Math.max(1000 * (error.retryAfterS || 0), Math.min(LONGEST_PAUSE_MS, 500 * 2 ** piece.tries));
        piece.tries += 1;
        piece.text = "";
      } else {
        Object.assign(piece, { state: "failed", error });
      }
    }
    if (wait_ms) await pause(wait_ms, this._control.signal).catch(() => {});
    this._asking -= 1;
    piece.isAsked = false;
    this._tell(piece);
    if (!this._control.signal.aborted) this._pump();
  }

  /** A caption that failed, once more. */
  again(piece) {
    Object.assign(piece, { state: "waiting", error: null });
    this._tell(piece);
    this._pump();
  }

  /** The microphone is off; what it heard is in `file`. */
  stop() {
    if (this.state === "asking") {
      this.state = "stopped";
      return;
    }
    if (this.state !== "on") return;
    this._seconds = this._recorder.seconds;
    this._pauses?.flush();
    this.isHearing = this.isQuiet = false;
    this.file = this._recorder.stop();
    this.state = "stopped";
    this._tell();
  }

  /** Keeps what was heard as a recording; goes on by itself after a lost connection. `job` is its job then. */
  async save(name) {
    if (this.state !== "stopped" && this.state !== "failed") return;
    Object.assign(this, { state: "saving", share: 0, error: null });
    this._tell();
    // Under the same name what arrived is not sent again; under another one it is another request.
    if (this._named?.name !== name) {
      this._named = new File([this.file], name, { type: "audio/wav", lastModified: this.startedAt.getTime() });
      this._key = newKey();
    }
    try {
      const job = await send(this._named, {
        fields: { ...this.options, priority: "high", words: "true" },
        key: this._key,
        signal: this._control.signal,
        onprogress: (share) => {
          this.share = share;
          this._tell();
        },
        onheld: (why) => {
          this.isLost = why === "lost";
          this._tell();
        },
      });
      Object.assign(this, { state: "saved", isLost: false, job, file: null });
      this._follow(job);
    } catch (error) {
      if (error.name === "AbortError") return;
      Object.assign(this, { state: "failed", error });
    }
    this._tell();
  }

  _follow(job) {
    const jobs = new LiveJobs((now) => {
      this.job = now;
      if (isFinished(now)) {
        clearInterval(asking);
        jobs.stop();
      }
      this._tell();
    });
    // A connection that was lost a moment ago may have taken the event along.
    const asking = setInterval(() => jobs.refresh(), ASKED_MS);
    jobs.start();
    jobs.put(job);
    jobs.refresh();
  }

  /** Nothing of it is wanted any more. */
  end() {
    this._control.abort();
    this._recorder.discard();
  }
}
