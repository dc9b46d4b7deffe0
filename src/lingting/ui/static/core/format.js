// Numbers, times and sizes as people of the page's language write them.

import { language, t } from "./words.js";

const locale = language === "zh" ? "zh-CN" : "en-GB";
const clockTime = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const dates = new Intl.DateTimeFormat(locale, { year: "numeric", month: "short", day: "numeric", ...clockTime });
const recent = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", ...clockTime });
const days = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
const numbers = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });

/** Seconds as 1:02:03, with tenths if asked for. */
export function clock(seconds, { tenths = false } = {}) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, tenths ? Math.floor(seconds * 10) / 10 : Math.floor(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = (whole % 60).toFixed(tenths ? 1 : 0).padStart(tenths ? 4 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** About how long, in words. */
export function about(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 60) return t("time.seconds", { n: Math.max(1, Math.round(seconds)) });
  if (seconds < 5400) return t("time.minutes", { n: Math.round(seconds / 60) });
  return t("time.hours", { n: numbers.format(seconds / 3600) });
}

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let at = 0;
  let left = bytes;
  while (left >= 1000 && at < units.length - 1) {
    left /= 1000;
    at += 1;
  }
  return `${numbers.format(left)} ${units[at]}`;
}

/** Day and time; the year only where it is another one. */
export function when(iso) {
  if (!iso) return "–";
  const then = new Date(iso);
  return (then.getFullYear() === new Date().getFullYear() ? recent : dates).format(then);
}
export const day = (iso) => (iso ? days.format(new Date(iso)) : "–");
export const number = (value) => numbers.format(value);
export const percent = (share) => `${Math.round(100 * share)}%`;

const two = (value) => String(value).padStart(2, "0");
/** For names: sorts by time, and is good in names of files. */
export function stamp(at) {
  const day = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(two).join("-");
  return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(".")}`;
}

const names = new Intl.DisplayNames([locale], { type: "language" });
const OWN = {
  yue: { en: "Cantonese", zh: "粤语" },
  wuu: { en: "Wu", zh: "吴语" },
  nan: { en: "Southern Min", zh: "闽南语" },
  hak: { en: "Hakka", zh: "客家话" },
  hsn: { en: "Xiang", zh: "湘语" },
};

/** Those that are asked for most, in this order. */
export const LANGUAGES = ["zh", "en", "yue", "ja", "ko", "de", "fr", "es"];

/** The name of a language by its code. */
export function languageName(code) {
  if (!code) return "–";
  if (OWN[code]) return OWN[code][language];
  try {
    return names.of(code) || code;
  } catch {
    return code;
  }
}
