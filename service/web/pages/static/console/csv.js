// Reads CSV with PapaParse (vendor/papaparse.min.js), which is loaded when a view first needs it.

/** @typedef {{ line: number, cells: string[] }} CsvRow */
/** @typedef {{ data: string[], meta: { cursor: number } }} Step */
/** @typedef {{ parse: (text: string, config: { delimiter: string, newline: string, step: (row: Step) => void }) => void }} Papa */

/** @type {Papa | undefined} */
let papa;

/** Loads PapaParse. It is a script for AMD loaders and expects their `define`. */
export async function loadCsvReader() {
  if (papa) return;
  const define = (/** @type {[]} */ _, /** @type {() => Papa} */ factory) => void (papa = factory());
  Object.assign(globalThis, { define: Object.assign(define, { amd: true }) });
  await import(new URL("../vendor/papaparse.min.js", import.meta.url).href);
  Reflect.deleteProperty(globalThis, "define");
}

/**
 * The rows of a CSV text with the number of their first line. Cells are trimmed.
 * @param {string} text
 * @returns {CsvRow[]}
 */
export function csvRows(text) {
  /** @type {CsvRow[]} */
  const rows = [];
  let [line, start] = [1, 0];
  const source = quoteNames(text);
  papa?.parse(source, {
    delimiter: delimiterOf(text),
    newline: "\n",
    step({ data, meta }) {
      rows.push({ line, cells: data.map((cell) => cell.trim()) });
      line += source.slice(start, meta.cursor).split("\n").length - 1;
      start = meta.cursor;
    },
  });
  return rows;
}

/**
 * The most frequent of comma, semicolon and tab in the first line.
 * @param {string} text
 */
function delimiterOf(text) {
  const first = text.split("\n").find((line) => line.trim()) ?? "";
  return [",", ";", "\t"].reduce((most, mark) => (first.split(mark).length > first.split(most).length ? mark : most));
}

/**
 * Quotes "Lovelace, Ada" <ada@example.com> as a whole, as CSV requires, and removes spaces before quoted cells.
 * @param {string} text
 */
const quoteNames = (text) => text.replace(/"([^"\n]*)" *<([^<>\n]*)>/g, '"$1 <$2>"').replace(/(^|[,;\t]) +"/gm, '$1"');
