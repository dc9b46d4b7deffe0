// Cuts what a microphone hears at pauses, by level alone: pieces of about a sentence.

const FRAME_S = 0.02;
const PAUSE_S = 0.55;
const BEFORE_S = 0.3;
const TAIL_S = 0.2;
const LONGEST_S = 12;
const SOUGHT_S = 4;
const SHORTEST_S = 0.2;
const ABOVE_DB = 9;
const LEAST_DB = -58;
const FLOOR_DB = [-80, -35];

const levelOf = (samples) => {
  let sum = 0;
  for (const value of samples) sum += value * value;
  return 10 * Math.log10(sum / samples.length + 1e-10);
};

/** `onpiece(frames, at_s)`: Float32Arrays of a piece and when it began; `onspeech(is)`. */
export class Pauses {
  constructor({ rate, onpiece, onspeech = () => {} }) {
    Object.assign(this, { rate, onpiece, onspeech });
    this._size = Math.round(rate * FRAME_S);
    this._left = new Float32Array(0);
    this._floor = -60;
    this._frames = [];
    this._count = 0;
    this._isOn = false;
    this._quiet = this._loud = 0;
  }

  push(block) {
    const all = new Float32Array(this._left.length + block.length);
    all.set(this._left);
    all.set(block, this._left.length);
    let at = 0;
    for (; at + this._size <= all.length; at += this._size) this._take(all.slice(at, at + this._size));
    this._left = all.slice(at);
  }

  /** What is left is a piece too. */
  flush() {
    if (this._isOn) this._cut(this._frames.length);
    this._end();
  }

  _take(samples) {
    const level = levelOf(samples);
    // The noise is what stays; it is learnt fast downwards, slowly upwards, slower still in speech.
    this._floor =
      level < this._floor ? 0.8 * this._floor + 0.2 * level : this._floor + (this._isOn ? 0.2 : 2) * FRAME_S;
    this._floor = Math.min(FLOOR_DB[1], Math.max(FLOOR_DB[0], this._floor));
    const isLoud = level > Math.max(LEAST_DB, this._floor + ABOVE_DB);
    this._frames.push({ samples, level });
    this._count += 1;
    if (!this._isOn) {
      this._loud = isLoud ? this._loud + 1 : Math.max(0, this._loud - 1);
      if (this._loud >= 3) {
        this._isOn = true;
        this._quiet = 0;
        this.onspeech(true);
      } else if (this._frames.length > BEFORE_S / FRAME_S) this._frames.shift();
      return;
    }
    this._loud += isLoud ? 1 : 0;
    this._quiet = isLoud ? 0 : this._quiet + 1;
    if (this._quiet * FRAME_S >= PAUSE_S) {
      if (this._loud * FRAME_S >= SHORTEST_S) this._cut(this._frames.length - Math.round((PAUSE_S - TAIL_S) / FRAME_S));
      this._end();
    } else if (this._frames.length * FRAME_S >= LONGEST_S) {
      this._cut(this._quietest());
    }
  }

  /** Where a piece that is too long is cut: in the quietest fifth of a second of its end. */
  _quietest() {
    const width = 10;
    const last = this._frames.length - width;
    let best = last;
    let least = Infinity;
    for (let at = last - Math.round(SOUGHT_S / FRAME_S); at <= last; at += 1) {
      let sum = 0;
      for (let n = at; n < at + width; n += 1) sum += this._frames[n].level;
      if (sum < least) {
        least = sum;
        best = at;
      }
    }
    return best + width / 2;
  }

  _cut(length) {
    const start = this._count - this._frames.length;
    const piece = this._frames.splice(0, length);
    if (piece.length)
      this.onpiece(
        piece.map((one) => one.samples),
        start * FRAME_S,
      );
  }

  _end() {
    this._frames = this._frames.slice(-Math.round(BEFORE_S / FRAME_S));
    this._isOn = false;
    this._loud = this._quiet = 0;
    this.onspeech(false);
  }
}
