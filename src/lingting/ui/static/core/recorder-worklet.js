// Runs beside the sound: gathers blocks of one channel, the mean of all.

/** What is not full when the recording stops is lost: 64 ms at 16 kHz. */
const BLOCK = 1024;

registerProcessor(
  "lt-recorder",
  class extends AudioWorkletProcessor {
    constructor() {
      super();
      this.block = new Float32Array(BLOCK);
      this.at = 0;
    }

    process([channels]) {
      const frames = channels[0]?.length || 0;
      for (let i = 0; i < frames; i += 1) {
        let sum = 0;
        for (const channel of channels) sum += channel[i];
        this.block[this.at++] = sum / channels.length;
        if (this.at === BLOCK) this.give();
      }
      return true;
    }

    give() {
      const given = this.block;
      this.block = new Float32Array(BLOCK);
      this.at = 0;
      this.port.postMessage(given, [given.buffer]);
    }
  },
);
