// The words of the pages in the reader's language, and the formats of numbers and times.

/** @typedef {import("./words/en.js").Catalogue} Catalogue */
/** @typedef {import("./words/console/en.js").Catalogue} ConsoleCatalogue */
/** @typedef {keyof Catalogue | keyof ConsoleCatalogue} WordId */
/** @typedef {string | { one: string, other: string }} Word */
/** @typedef {Record<string, string | number>} Values */

/** The service builds the modules of all languages but English from its gettext catalogues. */
export const LANGUAGES = ["en", "de", "fr", "es"];

/** The reader's languages in their order, as tags of BCP 47. Some systems give the names of POSIX, such as en_US@posix. */
const readerLanguages = (navigator.languages ?? [navigator.language]).flatMap(canonicalTags);

/**
 * @param {string} name
 * @returns {string[]}
 */
function canonicalTags(name) {
  try {
    return Intl.getCanonicalLocales(name.replace(/[@.].*$/, "").replace(/_/g, "-"));
  } catch {
    return [];
  }
}

/** @param {string} tag */
const languageOf = (tag) => tag.slice(0, 2);

/** The first of the reader's languages that has a catalogue. */
const preferredLanguage = readerLanguages.map(languageOf).find((tag) => LANGUAGES.includes(tag)) ?? "en";

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
export const language = await loadWords("", preferredLanguage);

// Dates follow the reader's region, such as en-GB.
const locale = readerLanguages.find((tag) => languageOf(tag) === language) ?? language;

/**
 * The words of an id with their values. A `count` selects the plural form.
 * @param {WordId} id
 * @param {Values} [values]
 */
export function t(id, values = {}) {
  return fillIn(textOf(id, values), values);
}

/**
 * @param {string} text
 * @param {Values} values
 */
const fillIn = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));

/**
 * Like t(), but values may be nodes, such as emphasized names.
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
  // A newer release of the API may have values without words here.
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
export const formatTime = (instant) => dateAndTime.format(new Date(instant));

/** @param {string} instant */
export const formatDay = (instant) => dateOnly.format(new Date(instant));

const share = new Intl.NumberFormat(locale, { style: "percent" });

/** @param {number} part of one */
export const formatPercent = (part) => share.format(part);

/** @param {string[]} items */
export const joinList = (items) => list.format(items);

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/**
 * A relative time such as "3 minutes ago". Below a minute it is "just now", or the seconds with `exact`.
 * @param {number} seconds from now; negative in the past
 * @param {{ exact?: boolean }} [how]
 */
export function fromNow(seconds, { exact = false } = {}) {
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  if (unit === "second" && !exact) return t("time.just_now");
  const count = exact ? Math.ceil(seconds / size) : Math.round(seconds / size);
  return (exact ? relativeInNumbers : relative).format(count, unit);
}
