// Lists of words as text, files and sets; and what differs between two texts.

/** One word a line; each once, without needless space, in order. */
export function wordsOf(text) {
  return [
    ...new Set(
      text
        .split(/\r\n|\r|\n/)
        .map((line) =>
          line
            .replace(/\uFEFF/g, "")
            .trim()
            .replace(/\s+/g, " "),
        )
        .filter(Boolean),
    ),
  ];
}

/** As the command line writes and reads it: a backslash keeps # and \ at the beginning plain. */
export const toText = (words) => words.map((word) => `${/^[#\\]/.test(word) ? "\\" : ""}${word}\n`).join("");

/** What a spreadsheet would run as a formula gets an apostrophe in front, as in the service's own tables. */
const cellOf = (word) => (/^[=+\-@]/.test(word) ? `'${word}` : word);

/** With a mark at the beginning by which spreadsheets know that it is UTF-8. */
export const toCsv = (words) =>
  `\uFEFFword\r\n${words
    .map(cellOf)
    .map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replace(/"/g, '""')}"` : cell))
    .join("\r\n")}\r\n`;

/** UTF-8, or what spreadsheets and editors of Windows write. */
function decoded(bytes) {
  const [first, second] = new Uint8Array(bytes, 0, Math.min(2, bytes.byteLength));
  if (first === 0xff && second === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("gb18030").decode(bytes);
  }
}

/** Words of a text or CSV file. */
export function fromFile(name, bytes) {
  const text = decoded(bytes);
  if (!/\.csv$/i.test(name)) {
    return wordsOf(
      text
        .split(/\r\n|\r|\n/)
        .map((line) => line.trim())
        .filter((line) => !line.startsWith("#"))
        .map((line) => line.replace(/^\\/, ""))
        .join("\n"),
    );
  }
  const first = column(text);
  if (/^(words?|hot ?words?|terms?|热词|词|词语|术语)$/i.test(first[0] || "")) first.shift();
  return wordsOf(first.join("\n"));
}

/** The first column of a CSV file; cells may be quoted, over several lines too. */
function column(text) {
  const rows = text.match(/(?:"(?:[^"]|"")*"|[^"\r\n]+)+/g) || [];
  return rows
    .map((row) => {
      const [, quoted, plain] = /^\s*(?:"((?:[^"]|"")*)"|([^,;\t]*))/.exec(row);
      return (quoted?.replace(/""/g, '"') ?? plain)
        .replace(/\s+/g, " ")
        .trim()
        .replace(/^'(?=[=+\-@])/, "");
    })
    .filter(Boolean);
}

/** What both made of `base`. */
export function merged(base, mine, theirs) {
  const gone = new Set(base.filter((word) => !mine.includes(word)));
  const kept = theirs.filter((word) => !gone.has(word));
  return [...new Set([...kept, ...mine.filter((word) => !base.includes(word))])];
}

const TOKEN =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}]+)*/gu;
const MOST_CELLS = 9e6;

/** Words (of Chinese: characters) with where they are; punctuation and capitals make no difference. */
export const tokens = (text) =>
  [...text.matchAll(TOKEN)].map((match) => ({
    text: match[0].toLowerCase(),
    start: match.index,
    end: match.index + match[0].length,
  }));

/**
 * Where two texts differ: `{left, right, places}`, of each side the ranges [start, end] of what the other
 * has not, and in how many places; null when they are too long to tell.
 */
export function differences(leftText, rightText) {
  const left = tokens(leftText);
  const right = tokens(rightText);
  let head = 0;
  let tail = 0;
  while (head < Math.min(left.length, right.length) && left[head].text === right[head].text) head += 1;
  while (tail < Math.min(left.length, right.length) - head && left.at(-1 - tail).text === right.at(-1 - tail).text)
    tail += 1;
  const a = left.slice(head, left.length - tail);
  const b = right.slice(head, right.length - tail);
  if (a.length * b.length > MOST_CELLS) return null;
  const wide = b.length + 1;
  const best = new Uint16Array((a.length + 1) * wide);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1)
      best[i * wide + j] =
        a[i].text === b[j].text
          ? best[(i + 1) * wide + j + 1] + 1
          : Math.max(best[(i + 1) * wide + j], best[i * wide + j + 1]);
  }
  const found = { left: [], right: [], places: 0 };
  let i = 0;
  let j = 0;
  let isApart = false;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i].text === b[j].text) {
      i += 1;
      j += 1;
      isApart = false;
      continue;
    }
    if (!isApart) {
      found.places += 1;
      isApart = true;
    }
    if (j >= b.length || (i < a.length && best[(i + 1) * wide + j] >= best[i * wide + j + 1])) {
      found.left.push([a[i].start, a[i].end]);
      i += 1;
    } else {
      found.right.push([b[j].start, b[j].end]);
      j += 1;
    }
  }
  return found;
}

/** Ranges [start, end] where a word of the list is, the longest first; none within another. */
export function occurrences(text, words) {
  const plain = text.toLowerCase();
  const taken = new Uint8Array(text.length);
  const found = [];
  if (plain.length !== text.length) return found; // a letter that has no small one of its length
  const isLetter = (at) => at >= 0 && at < text.length && /[\p{Script=Latin}\p{N}]/u.test(text[at]);
  for (const word of [...words].sort((one, other) => other.length - one.length)) {
    const wanted = word.toLowerCase();
    for (let at = plain.indexOf(wanted); at >= 0 && wanted; at = plain.indexOf(wanted, at + wanted.length)) {
      const end = at + wanted.length;
      if (taken.subarray(at, end).some(Boolean)) continue;
      if ((isLetter(at) && isLetter(at - 1)) || (isLetter(end - 1) && isLetter(end))) continue;
      taken.fill(1, at, end);
      found.push([at, end]);
    }
  }
  return found.sort((one, other) => one[0] - other[0]);
}
