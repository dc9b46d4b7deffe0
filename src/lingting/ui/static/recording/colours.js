// The colours of speakers.

import { COLOURS } from "../core/waveform.js";

/** What `setSpans` of the waveform calls them. */
export const COLOUR_KINDS = COLOURS.map((_, at) => `c${at}`);

/** The colour of each speaker, the same on every visit: by the number in the name, or the name. */
export class Colours {
  constructor() {
    this.known = new Map();
  }

  of(name) {
    if (!this.known.has(name)) {
      const number = /(\d+)\D*$/.exec(name);
      let at = number
        ? Number(number[1]) % COLOURS.length
        : [...name].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) >>> 0, 7) % COLOURS.length;
      const taken = new Set(this.known.values());
      for (let tries = 0; tries < COLOURS.length && taken.has(at); tries += 1) at = (at + 1) % COLOURS.length;
      this.known.set(name, at);
    }
    return this.known.get(name);
  }

  /** As CSS. */
  valueOf(name) {
    return `var(${COLOURS[this.of(name)]})`;
  }
}
