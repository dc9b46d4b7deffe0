// A list of any length of which only what is near the window is drawn. All rows are equally high
// (--lt-recordings-row), so what is not drawn takes just the room it would, and scrolling is exact.

import { fill, h } from "../core/dom.js";

const IN_CHUNK = 40;

export class Rows {
  /** `draw(item)` makes a row; the row's `show(item)` changes what it says. */
  constructor(draw, label) {
    this.draw = draw;
    this.items = [];
    this.element = h("div", { class: "lt-recordings-rows", role: "list", "aria-label": label });
    this.places = new Map();
    this.watching = new IntersectionObserver(
      (seen) => {
        for (const one of seen) this.turn(one.target, one.isIntersecting);
      },
      { rootMargin: "1200px 0px" },
    );
  }

  set(items) {
    this.items = items;
    this.places = new Map(items.map((item, at) => [item.id, at]));
    const chunks = [...this.element.children];
    const count = Math.ceil(items.length / IN_CHUNK);
    for (const chunk of chunks.slice(count)) {
      this.watching.unobserve(chunk);
      chunk.remove();
    }
    for (let at = chunks.length; at < count; at += 1) {
      const chunk = this.element.appendChild(h("div", { class: "lt-recordings-chunk" }));
      chunk.items = [];
      this.watching.observe(chunk);
    }
    [...this.element.children].forEach((chunk, at) =>
      this.give(chunk, items.slice(at * IN_CHUNK, (at + 1) * IN_CHUNK)),
    );
  }

  give(chunk, items) {
    const isSame = items.length === chunk.items.length && items.every((item, at) => item.id === chunk.items[at].id);
    const before = chunk.items;
    chunk.items = items;
    chunk.style.setProperty("--lt-recordings-count", items.length);
    if (!chunk.isDrawn) return;
    if (isSame)
      items.forEach((item, at) => {
        if (item !== before[at]) chunk.children[at].show(item);
      });
    else this.redraw(chunk);
  }

  /** Rows that stay are moved and not made anew: an open menu and the focus stay with them. */
  redraw(chunk) {
    const there = new Map([...chunk.children].map((row) => [row.dataset.id, row]));
    const wanted = chunk.items.map((item) => {
      const row = there.get(item.id);
      if (!row) return this.draw(item);
      row.show(item);
      return row;
    });
    for (const row of there.values()) if (!wanted.includes(row)) row.remove();
    wanted.forEach((row, at) => {
      if (chunk.children[at] !== row) chunk.insertBefore(row, chunk.children[at] || null);
    });
  }

  turn(chunk, isNear) {
    if (isNear === Boolean(chunk.isDrawn) || (!isNear && chunk.contains(document.activeElement))) return;
    chunk.isDrawn = isNear;
    if (isNear) this.redraw(chunk);
    else fill(chunk);
  }

  get(id) {
    return this.items[this.places.get(id)];
  }

  has(id) {
    return this.places.has(id);
  }

  /** Another state of a recording that is in the list. */
  update(item) {
    const at = this.places.get(item.id);
    if (at === undefined) return;
    this.items[at] = item;
    const chunk = this.element.children[Math.floor(at / IN_CHUNK)];
    chunk.items[at % IN_CHUNK] = item;
    if (chunk.isDrawn) chunk.children[at % IN_CHUNK].show(item);
  }

  /** Draw the same again, as when the selection changed. */
  refresh() {
    for (const chunk of this.element.children) {
      if (chunk.isDrawn) chunk.items.forEach((item, at) => chunk.children[at].show(item));
    }
  }

  remove(ids) {
    const gone = new Set(ids);
    this.set(this.items.filter((item) => !gone.has(item.id)));
  }

  stop() {
    this.watching.disconnect();
  }
}
