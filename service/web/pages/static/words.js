// The words of the pages in the reader's language, and the formats of numbers and times.

/** @typedef {import("./words/en.js").Catalogue} Catalogue */
/** @typedef {import("./words/console/en.js").Catalogue} ConsoleCatalogue */
/** @typedef {keyof Catalogue | keyof ConsoleCatalogue} WordId */
/** @typedef {string | { one: string, other: string }} Word */
/** @typedef {Record<string, string | number>} Values */

/** The service builds the modules of all languages but English from its gettext catalogues. */
const LANGUAGES = ["en", "de", "fr", "es"];

/** The first of the reader's languages that has a catalogue. */
function preferredLanguage() {
  const tags = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return tags.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

/** @type {Record<string, Word>} */
const words = {};

/**
 * Loads the words of a page in one language, or in English when that fails. Returns the loaded language.
 * @param {"" | "console/"} folder
 * @param {string} tag
 */
export async function loadWords(folder, tag = language) {
  try {
    Object.assign(words, (await import(`./words/${folder}${tag}.js`)).default);
    return tag;
  } catch {
    Object.assign(words, (await import(`./words/${folder}en.js`)).default);
    return "en";
  }
}

/** The page's language, as in its `lang`. @type {string} */
export const language = await loadWords("", preferredLanguage());

// English writes its dates the way the reader's own kind of English does.
const locale = navigator.languages.find((tag) => tag.slice(0, 2).toLowerCase() === language) ?? language;

/**
 * The words of an id, with the values in their places. With a `count`, the form of that number.
 * @param {WordId} id
 * @param {Values} [values]
 */
export function t(id, values = {}) {
  return filled(textOf(id, values), values);
}

/**
 * @param {string} text
 * @param {Values} values
 */
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));

/**
 * The same, with nodes in the places of some values: names and addresses stand out, and keep their own direction.
 * @param {WordId} id
 * @param {Record<string, Node | string | number>} values
 * @returns {(Node | string)[]}
 */
export function rich(id, values) {
  const parts = textOf(id, values).split(/\{(\w+)\}/);
  return parts.map((part, index) => {
    if (index % 2 === 0) return part;
    const value = values[part] ?? "";
    return value instanceof Node ? value : String(value);
  });
}

/**
 * @param {WordId} id
 * @param {Record<string, unknown>} values
 */
function textOf(id, values) {
  const word = words[id];
  if (typeof word === "string") return word;
  // The API may have values that are newer than these pages: their words are missing, not wrong.
  if (!word) return "";
  const form = new Intl.PluralRules(language).select(Number(values["count"]));
  return form === "one" ? word.one : word.other;
}

const dateAndTime = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const dateOnly = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
const list = new Intl.ListFormat(locale, { type: "conjunction" });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
const relativeInNumbers = new Intl.RelativeTimeFormat(locale, { numeric: "always" });

/** @param {string} instant */
export const moment = (instant) => dateAndTime.format(new Date(instant));

/** @param {string} instant */
export const day = (instant) => dateOnly.format(new Date(instant));

const share = new Intl.NumberFormat(locale, { style: "percent" });

/** @param {number} part of one */
export const percent = (part) => share.format(part);

/** @param {string[]} items */
export const listed = (items) => list.format(items);

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/**
 * "3 minutes ago", "in 2 days"; below a minute "just now", unless the seconds are asked for.
 * @param {number} seconds from now; negative for what is past
 * @param {{ exact?: boolean }} [how]
 */
export function fromNow(seconds, { exact = false } = {}) {
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  if (unit === "second" && !exact) return t("time.just_now");
  const count = exact ? Math.ceil(seconds / size) : Math.round(seconds / size);
  return (exact ? relativeInNumbers : relative).format(count, unit);
}
