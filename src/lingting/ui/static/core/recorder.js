// The microphone: asks for it, says what is wrong in a sentence, and makes a WAV file of what was said.

import uploadWords from "../words/upload.js";
import { ApiError } from "./api.js";
import { stamp } from "./format.js";
import { learn, t } from "./words.js";

learn(uploadWords);

const RATE_HZ = 16_000;
const GATHERED = 256;
const QUIET = 0.0005;
const QUIET_S = 5;

const refused = (key, given) => new ApiError(400, { code: key, message: t(key, given) });

/** The microphone's stream, or an error with a sentence. */
export async function microphone(deviceId = null) {
  if (!window.isSecureContext) throw refused("recorder.insecure");
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) throw refused("recorder.old");
  const wanted = {
    channelCount: 1,
    echoCancellation: false,
    noiseSuppression: false,
    autoGainControl: true,
    ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
  };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: wanted });
  } catch (error) {
    if (["NotAllowedError", "SecurityError"].includes(error.name)) throw refused("recorder.refused");
    if (["NotFoundError", "OverconstrainedError"].includes(error.name)) {
      if (deviceId) return microphone();
      throw refused("recorder.none");
    }
    if (["NotReadableError", "AbortError"].includes(error.name)) throw refused("recorder.inUse");
    throw refused("recorder.broken", { reason: error.name });
  }
}

/** The microphones there are; their names are told only after permission. */
export async function microphones() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) || [];
  return all.filter((one) => one.kind === "audioinput" && one.deviceId && one.label);
}

/**
 * One recording. `onlevel(0…1, seconds)` some times a second, `onquiet(is)` when nothing is heard,
 * `onended()` when the microphone is taken away; `onblock(samples, rate)` for whoever listens along.
 */
export class Recorder {
  constructor({ onlevel, onquiet, onended, onblock } = {}) {
    Object.assign(this, { onlevel, onquiet, onended, onblock });
    this.isPaused = false;
    this._blobs = [];
    this._gathered = [];
    this._frames = 0;
    this._quiet = 0;
  }

  async start(deviceId = null) {
    this._stream = await microphone(deviceId);
    try {
      await this._connect(RATE_HZ).catch(() => this._connect());
    } catch (error) {
      this.discard();
      throw refused("recorder.broken", { reason: error.name || "AudioContext" });
    }
    const [track] = this._stream.getAudioTracks();
    track.addEventListener("ended", () => this.onended?.());
    this.deviceId = track.getSettings().deviceId || null;
    return this;
  }

  /** At 16 kHz, which is what models hear; where a browser cannot, at its own rate. */
  async _connect(sampleRate) {
    const context = new AudioContext(sampleRate ? { sampleRate } : {});
    try {
      await context.audioWorklet.addModule(new URL("./recorder-worklet.js", import.meta.url));
      const source = context.createMediaStreamSource(this._stream);
      const node = new AudioWorkletNode(context, "lt-recorder", { numberOfOutputs: 0 });
      node.port.onmessage = ({ data }) => this._take(data);
      source.connect(node);
      await context.resume();
      this._context = context;
    } catch (error) {
      await context.close();
      throw error;
    }
  }

  get seconds() {
    return this._context ? this._frames / this._context.sampleRate : 0;
  }

  _take(block) {
    // The last ones arrive when it has been stopped, and are too short to be missed.
    if (!this._context) return;
    const rate = this._context.sampleRate;
    let sum = 0;
    for (const value of block) sum += value * value;
    const loudness = Math.sqrt(sum / block.length);
    this._hear(loudness, block.length / rate);
    if (!this.isPaused) {
      const made = new Int16Array(block.length);
      for (let i = 0; i < block.length; i += 1) made[i] = Math.max(-1, Math.min(1, block[i])) * 32767;
      this._gathered.push(made);
      this._frames += made.length;
      // In blobs the browser may put it on the disk: hours fit.
      if (this._gathered.length >= GATHERED) this._settle();
      this.onblock?.(block, rate);
    }
    // From -60 dB to 0 dB as 0 to 1.
    this.onlevel?.(Math.max(0, Math.min(1, 1 + Math.log10(Math.max(loudness, 1e-6)) / 3)), this.seconds);
  }

  _hear(loudness, seconds) {
    this._quiet = loudness < QUIET ? this._quiet + seconds : 0;
    const is = this._quiet >= QUIET_S;
    if (is !== this._isQuiet) {
      this._isQuiet = is;
      this.onquiet?.(is);
    }
  }

  _settle() {
    this._blobs.push(new Blob(this._gathered));
    this._gathered = [];
  }

  /** What was said, as a file; null when that is nothing. */
  stop() {
    const rate = this._context?.sampleRate;
    this.discard();
    if (!this._frames) return null;
    this._settle();
    const now = new Date();
    return new File([header(this._frames, rate), ...this._blobs], `${t("recorder.name", { time: stamp(now) })}.wav`, {
      type: "audio/wav",
      lastModified: now.getTime(),
    });
  }

  /** The microphone is let go. */
  discard() {
    for (const track of this._stream?.getTracks() || []) track.stop();
    this._context?.close();
    this._stream = this._context = null;
  }
}

/** Of a WAV file with one channel of 16 bits. */
export function header(frames, rate) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  const bytes = Math.min(frames * 2, 0xffffffff - 36);
  text(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, bytes, true);
  return view;
}
