// Where a text or a regular expression is in many texts. It runs in a worker of its own, so that an
// expression that takes for ever keeps nobody waiting: whoever asked ends the worker.

const MOST = 20_000;
const ONE_BY_ONE = "[\\p{sc=Han}\\p{sc=Hira}\\p{sc=Kana}]";
/** A letter or digit of a script that puts spaces between words. */
const IN_WORD = `(?!${ONE_BY_ONE})[\\p{L}\\p{N}_]`;

const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, (char) => (char === "-" ? "\\x2d" : `\\${char}`));

function expression({ text, isCase, isWord, isPattern }) {
  const source = isPattern ? `(?:${text})` : escaped(text);
  return new RegExp(isWord ? `(?<!${IN_WORD})${source}(?!${IN_WORD})` : source, isCase ? "gu" : "giu");
}

/** `$1`, `$<name>`, `$&` and `$$` in what is put in its place. */
function expanded(template, match) {
  return template.replace(/\$(?:(\$)|(&)|([1-9]\d?)|<([^>]*)>)/g, (all, dollar, whole, number, name) => {
    if (dollar) return "$";
    if (whole) return match[0];
    if (name !== undefined) return match.groups ? (match.groups[name] ?? "") : all;
    return Number(number) < match.length ? (match[Number(number)] ?? "") : all;
  });
}

/** `found`: [position, from, to, instead] in order. */
function find({ texts, wish, instead }) {
  const looked = expression(wish);
  const found = [];
  for (let at = 0; at < texts.length && found.length < MOST; at += 1) {
    for (const match of texts[at].matchAll(looked)) {
      if (!match[0]) continue;
      found.push([at, match.index, match.index + match[0].length, wish.isPattern ? expanded(instead, match) : instead]);
      if (found.length === MOST) break;
    }
  }
  return { found, isCapped: found.length === MOST };
}

onmessage = ({ data }) => {
  try {
    postMessage(find(data));
  } catch (error) {
    postMessage({ error: error instanceof SyntaxError ? "pattern" : "other" });
  }
};
