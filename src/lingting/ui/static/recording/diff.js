// What is different between two states of a transcript: Chinese by character, others by word.

const MOST_STEPS = 1200;
const IN_BLOCK = 60;
/** Segments whose times meet by less do not overlap. */
const SLACK_S = 0.05;

/** A character of Chinese or Japanese, a word of other scripts, spaces, or a sign. */
export const tokens = (text) =>
  text.match(
    /[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}]|[\p{L}\p{N}\p{M}_'’]+?(?=[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}]|[^\p{L}\p{N}\p{M}_'’]|$)|\s+|[^]/gu,
  ) || [];

/** [["same" | "gone" | "new", text], …] */
export function compare(before, after) {
  if (before === after) return before ? [["same", before]] : [];
  const a = tokens(before);
  const b = tokens(after);
  let head = 0;
  let tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail])
    tail += 1;
  const found = [];
  const put = (kind, text) => {
    if (!text) return;
    if (found.at(-1)?.[0] === kind) found.at(-1)[1] += text;
    else found.push([kind, text]);
  };
  put("same", a.slice(0, head).join(""));
  for (const [kind, text] of script(a.slice(head, a.length - tail), b.slice(head, b.length - tail))) put(kind, text);
  put("same", tail ? a.slice(-tail).join("") : "");
  return found;
}

/** Myers' shortest edit script; all gone and all new when there is little that is the same. */
function script(a, b) {
  if (!a.length || !b.length)
    return [
      ["gone", a.join("")],
      ["new", b.join("")],
    ];
  const most = Math.min(a.length + b.length, MOST_STEPS);
  const trace = [];
  let ends = new Map([[1, 0]]);
  for (let steps = 0; steps <= most; steps += 1) {
    trace.push(new Map(ends));
    for (let k = -steps; k <= steps; k += 2) {
      let x =
        k === -steps || (k !== steps && (ends.get(k - 1) ?? -1) < (ends.get(k + 1) ?? -1))
          ? (ends.get(k + 1) ?? 0)
          : (ends.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && x - k >= 0 && a[x] === b[x - k]) x += 1;
      ends.set(k, x);
      if (x >= a.length && x - k >= b.length) return walked(a, b, trace, steps);
    }
  }
  return [
    ["gone", a.join("")],
    ["new", b.join("")],
  ];
}

function walked(a, b, trace, steps) {
  const found = [];
  let x = a.length;
  let y = b.length;
  for (let step = steps; step > 0; step -= 1) {
    const ends = trace[step];
    const k = x - y;
    const isDown = k === -step || (k !== step && (ends.get(k - 1) ?? -1) < (ends.get(k + 1) ?? -1));
    const from = isDown ? (ends.get(k + 1) ?? 0) : (ends.get(k - 1) ?? 0);
    const fromY = from - (isDown ? k + 1 : k - 1);
    const [atX, atY] = isDown ? [from, fromY + 1] : [from + 1, fromY];
    while (x > atX && y > atY) {
      found.push(["same", a[x - 1]]);
      x -= 1;
      y -= 1;
    }
    found.push(isDown ? ["new", b[atY - 1]] : ["gone", a[atX - 1]]);
    x = from;
    y = fromY;
  }
  while (x > 0 && y > 0) {
    found.push(["same", a[x - 1]]);
    x -= 1;
    y -= 1;
  }
  return found.reverse();
}

/** What was said at the same time in both: [[segments, segments], …]. */
export function* blocks(before, after) {
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const a = [];
    const b = [];
    let end = Math.min(before[i]?.start_s ?? Infinity, after[j]?.start_s ?? Infinity);
    const take = (list, at, into) => {
      const one = list[at];
      if (!one || into.length >= IN_BLOCK || (one.start_s >= end - SLACK_S && (a.length || b.length))) return false;
      into.push(one);
      end = Math.max(end, one.end_s);
      return true;
    };
    // The earlier one begins; whatever overlaps what is there comes along.
    if ((before[i]?.start_s ?? Infinity) <= (after[j]?.start_s ?? Infinity)) {
      if (take(before, i, a)) i += 1;
    } else if (take(after, j, b)) j += 1;
    for (let isMore = true; isMore;) {
      isMore = false;
      while (take(before, i, a)) {
        i += 1;
        isMore = true;
      }
      while (take(after, j, b)) {
        j += 1;
        isMore = true;
      }
    }
    yield [a, b];
  }
}

const LETTERS = /[\p{L}\p{N}]$/u;
const STUCK = /[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}]$/u;

/** Texts of segments in one, with a space where their script asks for it. */
export function joined(segments) {
  return segments
    .map((one) => one.text.trim())
    .filter(Boolean)
    .reduce(
      (text, next) =>
        text && !STUCK.test(text) && (LETTERS.test(text) || /[.,!?;:]$/.test(text)) ? `${text} ${next}` : text + next,
      "",
    );
}

const voices = (segments) => [...new Set(segments.map((one) => one.speaker).filter(Boolean))].join(", ");

/** The differences of one block; null when there are none. */
export function differs([before, after]) {
  const was = joined(before);
  const is = joined(after);
  const voiceWas = voices(before);
  const voiceIs = voices(after);
  if (was === is && voiceWas === voiceIs) return null;
  const first = before[0] && after[0] ? Math.min(before[0].start_s, after[0].start_s) : (before[0] || after[0]).start_s;
  return { at_s: first, parts: compare(was, is), voice: voiceIs, voiceWas: voiceWas === voiceIs ? null : voiceWas };
}
