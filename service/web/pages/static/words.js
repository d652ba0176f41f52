// The words of the pages, in the reader's language, and how their numbers and times are written.

/** @typedef {import("./words/en.js").Catalogue} Catalogue */
/** @typedef {import("./words/console/en.js").Catalogue} ConsoleCatalogue */
/** @typedef {keyof Catalogue | keyof ConsoleCatalogue} WordId */
/** @typedef {string | { one: string, other: string }} Word */
/** @typedef {Record<string, string | number>} Values */

/**
 * A module with the words of one language.
 * @template [Words=Catalogue]
 * @typedef {{ default: Words }} Language
 */

/**
 * By language, English among them. Only one is ever loaded.
 * @template [Words=Catalogue]
 * @typedef {{ en: () => Promise<Language<Words>>, [language: string]: (() => Promise<Language<Words>>) | undefined }} Languages
 */

/** @type {Languages} */
const LANGUAGES = {
  en: () => import("./words/en.js"),
  de: () => import("./words/de.js"),
  fr: () => import("./words/fr.js"),
  es: () => import("./words/es.js"),
};

/** The first of the reader's languages that there is a catalogue for. */
function chosen() {
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag in LANGUAGES) ?? "en";
}

/** @type {Record<string, Word>} */
const words = {};

/**
 * Takes up the words of a page, in one language; in English where that cannot be loaded. Returns the language.
 * @template {Record<string, Word>} Words
 * @param {Languages<Words>} languages
 * @param {string} wanted
 */
export async function takeUp(languages, wanted = language) {
  try {
    const found = await (languages[wanted] ?? languages.en)();
    Object.assign(words, found.default);
    return wanted;
  } catch {
    Object.assign(words, (await languages.en()).default);
    return "en";
  }
}

/** The language of the page, as its `lang`. @type {string} */
export const language = await takeUp(LANGUAGES, chosen());

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
