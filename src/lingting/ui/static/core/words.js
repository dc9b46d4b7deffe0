// The words of the pages in the language of the person. Each page brings its own group.

export const language = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
const at = language === "zh" ? 1 : 0;
const known = {};

/** Take a group of words: `{"key": ["English", "中文"]}`. */
export function learn(...groups) {
  for (const group of groups) Object.assign(known, group);
}

/** The text of a key; `{name}` in it is replaced by `given.name`. */
export function t(key, given) {
  const found = known[key];
  if (!found) return key;
  return found[at].replace(/\{(\w+)\}/g, (all, name) => (given && name in given ? given[name] : all));
}

/** Whether there is a text. */
export const has = (key) => key in known;
