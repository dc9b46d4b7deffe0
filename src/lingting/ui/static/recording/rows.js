// A long list of which only what is near the screen is on the page, each row as tall as it is.

import { Heights } from "./heights.js";

const OVERSCAN_PX = 700;
const GUESS_PX = 76;
const OURS_MS = 150;

/**
 * `scroller` is what scrolls, `element` what holds the rows. Of `total()` rows `make(at)` gives one, as
 * {element, …}. `pinned(first, last)` are those that stay on the page however far one scrolls;
 * `onNear(first, last)` is told which ones are near the screen.
 *
 * Until a row was on the page, its height is a guess.
 */
export function createRows(scroller, element, { total, make, pinned, onNear }) {
  const rows = new Map();
  let heights = new Heights(0, GUESS_PX);
  let guess = GUESS_PX;
  let near = null;
  let asked = 0;
  let scrolledAt = -OURS_MS;
  let anchor = null;
  let pressed = -1;

  const origin = () => element.getBoundingClientRect().top - scroller.getBoundingClientRect().top + scroller.scrollTop;

  function schedule() {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      render();
    });
  }

  function render() {
    if (!element.isConnected || !total()) return;
    const top = scroller.scrollTop - origin();
    const first = heights.at(Math.max(0, top - OVERSCAN_PX));
    const last = heights.at(Math.max(0, top + scroller.clientHeight + OVERSCAN_PX));
    const wanted = new Set();
    for (let at = first; at <= last; at += 1) wanted.add(at);
    for (const at of pinned(first, last)) wanted.add(at);
    for (const at of rows.keys()) if (!wanted.has(at)) drop(at);
    put([...wanted].sort((a, b) => a - b));
    place();
    if (first !== near?.[0] || last !== near?.[1]) {
      near = [first, last];
      onNear(first, last);
    }
  }

  function put(sorted) {
    let behind = null;
    for (const at of sorted.reverse()) {
      let row = rows.get(at);
      if (!row) {
        row = make(at);
        row.y = null;
        rows.set(at, row);
        element.insertBefore(row.element, behind);
        sizes.observe(row.element);
      }
      behind = row.element;
    }
  }

  function drop(at) {
    const row = rows.get(at);
    sizes.unobserve(row.element);
    row.element.remove();
    rows.delete(at);
  }

  function place() {
    element.style.height = `${heights.before(total())}px`;
    for (const [at, row] of rows) {
      const y = Math.round(heights.before(at));
      if (row.y !== y) {
        row.y = y;
        row.element.style.top = `${y}px`;
      }
    }
  }

  const sizes = new ResizeObserver((entries) => {
    const top = scroller.scrollTop - origin();
    let above = 0;
    for (const entry of entries) {
      const at = Number(entry.target.dataset.position);
      if (rows.get(at)?.element !== entry.target) continue;
      const height = entry.borderBoxSize[0].blockSize;
      if (!height || Math.abs(height - heights.each[at]) < 0.5) continue;
      const isAbove = anchor === null ? heights.before(at) + heights.each[at] <= top + 1 : at < anchor;
      const by = heights.set(at, height);
      if (isAbove) above += by;
    }
    // What one is reading stays where it is.
    if (above) scrollBy(above);
    place();
    schedule();
  });

  function scrollBy(px) {
    scrolledAt = performance.now();
    scroller.scrollTop += px;
  }

  /** Bring a row to where it is read. */
  function show(at, { isNearest = false, isSmooth = false } = {}) {
    const y = heights.before(at) + origin();
    const tall = heights.each[at];
    const room = scroller.clientHeight;
    const top = scroller.scrollTop;
    if (at === pressed && y + tall > top && y < top + room) return;
    pressed = -1;
    const margin = Math.min(140, room / 4);
    if (y >= top + (isNearest ? 60 : margin) && y + tall <= top + room - margin) return;
    anchor = at;
    scrolledAt = performance.now();
    const to = Math.max(0, y - room / 3);
    scroller.scrollTo({ top: to, behavior: isSmooth && Math.abs(to - top) < 2 * room ? "smooth" : "instant" });
    render();
    // Rows near it get their real heights only now.
    requestAnimationFrame(() => {
      const now = heights.before(at) + origin() - scroller.scrollTop;
      if (now < 0 || now + Math.min(tall, room / 2) > room) scrollBy(now - room / 3);
      render();
      requestAnimationFrame(() => {
        anchor = null;
      });
    });
  }

  /** `heightOf(at)` is a better guess than the mean of all, or null. */
  function guessHeights(heightOf) {
    let sum = 0;
    let count = 0;
    for (let at = 0; at < heights.count; at += 1) {
      const tall = heightOf(at);
      if (tall === null) continue;
      if (!rows.has(at) && Math.abs(tall - heights.each[at]) > 1) heights.set(at, tall);
      sum += heights.each[at];
      count += 1;
    }
    if (count) guess = sum / count;
  }

  scroller.addEventListener("scroll", schedule, { passive: true });
  const widths = new ResizeObserver(schedule);
  widths.observe(scroller);

  return {
    schedule,
    render,
    show,
    get: (at) => rows.get(at),
    has: (at) => rows.has(at),
    all: () => rows.values(),
    /** The row that was pressed stays under the pointer: a second press is for the same one. */
    press(at) {
      pressed = at;
    },
    /** Whether there are as many as when it was last begun anew. */
    isCurrent: () => heights.count === total(),
    /** All anew, for others or for more of them. */
    reset(heightOf) {
      for (const at of [...rows.keys()]) drop(at);
      near = null;
      heights = new Heights(total(), guess);
      guessHeights(heightOf);
      render();
    },
    /** `onNear` is told again. */
    forgetNear() {
      near = null;
    },
    /** Whether it was not a person who scrolled just now. */
    wasOurs: () => performance.now() - scrolledAt <= OURS_MS,
    destroy() {
      cancelAnimationFrame(asked);
      sizes.disconnect();
      widths.disconnect();
      scroller.removeEventListener("scroll", schedule);
    },
  };
}
