// Where each word of a segment is in the text that is shown, so that it can be lit and clicked.

const CELLS = 160_000;

/** Where the words are in the spoken text: [[from, to], …] beside `segment.words`; null: not found. */
function inSpoken(segment) {
  const spoken = segment.spoken.toLowerCase();
  let from = 0;
  return segment.words.map((word) => {
    const text = word.text.trim().toLowerCase();
    const at = text ? spoken.indexOf(text, from) : -1;
    if (at < 0 || at > from + 24) return null;
    from = at + text.length;
    return [at, from];
  });
}

/** How two texts belong together when nobody noted it: [[spoken, text, length], …] of what is equal. */
export function equalParts(spoken, text) {
  const a = spoken.toLowerCase();
  const b = text.toLowerCase();
  let head = 0;
  let tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail])
    tail += 1;
  const parts = head ? [[0, 0, head]] : [];
  parts.push(
    ...between(a.slice(head, a.length - tail), b.slice(head, b.length - tail)).map(([x, y, n]) => [
      x + head,
      y + head,
      n,
    ]),
  );
  if (tail) parts.push([a.length - tail, b.length - tail, tail]);
  return parts;
}

/** The longest common subsequence of what is left, as runs. */
function between(a, b) {
  const rows = a.length + 1;
  const columns = b.length + 1;
  if (!a.length || !b.length || rows * columns > CELLS) return [];
  const best = new Uint16Array(rows * columns);
  for (let x = a.length - 1; x >= 0; x -= 1) {
    for (let y = b.length - 1; y >= 0; y -= 1) {
      best[x * columns + y] =
        a[x] === b[y]
          ? best[(x + 1) * columns + y + 1] + 1
          : Math.max(best[(x + 1) * columns + y], best[x * columns + y + 1]);
    }
  }
  const runs = [];
  for (let x = 0, y = 0; x < a.length && y < b.length;) {
    if (a[x] === b[y]) {
      const last = runs.at(-1);
      if (last && last[0] + last[2] === x && last[1] + last[2] === y) last[2] += 1;
      else runs.push([x, y, 1]);
      x += 1;
      y += 1;
    } else if (best[(x + 1) * columns + y] >= best[x * columns + y + 1]) x += 1;
    else y += 1;
  }
  return runs;
}

/** What is equal in both layers, by the edits that made one of the other. */
function byEdits(segment) {
  const parts = [];
  let spoken = 0;
  let text = 0;
  for (const edit of segment.edits) {
    if (edit.spoken_start > spoken) parts.push([spoken, text, edit.spoken_start - spoken]);
    // What was changed belongs together as a whole.
    parts.push([edit.spoken_start, edit.text_start, 0, edit.spoken_end, edit.text_end]);
    spoken = edit.spoken_end;
    text = edit.text_end;
  }
  if (segment.spoken.length > spoken) parts.push([spoken, text, segment.spoken.length - spoken]);
  return parts;
}

function toText([from, to], parts) {
  let start = null;
  let end = null;
  for (const [spoken, text, length, spokenEnd, textEnd] of parts) {
    const last = length ? spoken + length : spokenEnd;
    if (last <= from || spoken >= to) continue;
    const a = length ? text + Math.max(0, from - spoken) : text;
    const b = length ? text + Math.min(length, to - spoken) : textEnd;
    start = start === null ? a : Math.min(start, a);
    end = end === null ? b : Math.max(end, b);
  }
  return start === null || end <= start ? null : [start, end];
}

const kept = new WeakMap();

/**
 * Pieces of a layer with their times, in order and without overlap: [{from, to, start_s, end_s,
 * confidence}, …]. `layer`: "written" or "spoken". Kept with the segment.
 */
export function pieces(segment, layer) {
  const before = kept.get(segment);
  if (before?.layer === layer) return before.found;
  const found = made(segment, layer);
  kept.set(segment, { layer, found });
  return found;
}

function made(segment, layer) {
  if (!segment.words?.length) return [];
  const places = inSpoken(segment);
  let parts = null;
  if (layer === "written" && segment.text !== segment.spoken) {
    parts = segment.edits?.length ? byEdits(segment) : equalParts(segment.spoken, segment.text);
  }
  const found = [];
  places.forEach((place, at) => {
    const shown = place && parts ? toText(place, parts) : place;
    if (!shown) return;
    const word = segment.words[at];
    const last = found.at(-1);
    if (last && shown[0] < last.to) {
      // Several spoken words became one written one: it has the time of all of them.
      last.to = Math.max(last.to, shown[1]);
      last.end_s = Math.max(last.end_s, word.end_s);
      if (word.confidence !== null)
        last.confidence = last.confidence === null ? word.confidence : Math.min(last.confidence, word.confidence);
      return;
    }
    found.push({ from: shown[0], to: shown[1], start_s: word.start_s, end_s: word.end_s, confidence: word.confidence });
  });
  return found;
}

/** The piece that is heard at a time; the last one that has begun. -1: none yet. */
export function pieceAt(found, time) {
  let low = 0;
  let high = found.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (found[middle].start_s <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
