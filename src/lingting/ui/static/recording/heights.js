// Sums of heights that change one by one: where a row begins, and which row is at a place.

/** A Fenwick tree. */
export class Heights {
  constructor(count, guess) {
    this.count = count;
    this.each = new Float64Array(count).fill(guess);
    this.tree = new Float64Array(count + 1);
    for (let at = 1; at <= count; at += 1) {
      this.tree[at] += guess;
      const above = at + (at & -at);
      if (above <= count) this.tree[above] += this.tree[at];
    }
    this.top = 1;
    while (this.top * 2 <= count) this.top *= 2;
  }

  set(at, height) {
    const by = height - this.each[at];
    this.each[at] = height;
    for (let n = at + 1; n <= this.count; n += n & -n) this.tree[n] += by;
    return by;
  }

  /** Where a row begins; of `count`: the whole. */
  before(at) {
    let sum = 0;
    for (let n = at; n > 0; n -= n & -n) sum += this.tree[n];
    return sum;
  }

  /** The row at a distance from the top. */
  at(y) {
    let place = 0;
    let left = y;
    for (let step = this.top; step; step >>= 1) {
      if (place + step <= this.count && this.tree[place + step] <= left) {
        place += step;
        left -= this.tree[place];
      }
    }
    return Math.min(place, this.count - 1);
  }
}
