// Reads and checks lists of invitees: typed, pasted from a mail program, or a spreadsheet's CSV. The service checks again.

import { t } from "../words.js";
import { csvRows } from "./csv.js";
import { LONGEST_MESSAGE, rolesUpTo } from "./invite-form.js";
import { ROLES } from "./community-page.js";

/** @typedef {import("../operations.js").Community} Community */
/** @typedef {import("../operations.js").Role} Role */

/**
 * One row of a list.
 * @typedef {object} Row
 * @property {number} line
 * @property {string} email
 * @property {string} role as written; empty without one
 * @property {string} message
 * @property {string} locale
 * @property {string} problem empty without one
 */

/** The names of the columns in the languages of the pages. */
const COLUMNS = {
  email:
    /^(e-?mail|mail|(e-?mail[- ])?address|(e-?mail-?)?adresse( (e-?)?mail)?|courriel|correo( electr[oó]nico)?|direcci[oó]n)$/,
  role: /^(role|rolle|r[oô]le|rol)$/,
  message: /^(message|nachricht|mensaje)$/,
  locale: /^(locale|language|sprache|langue|idioma)$/,
};
/** @type {(keyof typeof COLUMNS)[]} */
const ORDER = ["email", "role", "message", "locale"];
const ADDRESS = /^[\x21-\x3f\x41-\x7e]+@[^\s@<>,;:"()\\[\]]+\.[^\s@<>,;:"()\\[\]]+$/;
// The apostrophe that exports put before formulas.
const GUARD = /(^[ "]*|[;\t\r\n][\s"]*)'(?='*[=+\-@\uff1d\uff0b\uff0d\uff20])/g;
const NAMED = /^.*<\s*([^<>\s]+)\s*>$/;

/**
 * The rows of a text. An unreadable line becomes a row with a problem.
 * @param {string} text
 * @returns {Row[]}
 */
export function rowsIn(text) {
  const lines = csvRows(text)
    .map(({ line, cells }) => ({ line, cells: cells.map((cell) => cell.replace(GUARD, "$1")) }))
    .filter(({ cells }) => cells.some(Boolean));
  const head = lines[0] && columnsOf(lines[0].cells);
  const columns = head || ORDER;
  return lines.slice(head ? 1 : 0).flatMap(({ line, cells }) => {
    if (!head && cells.length > 1 && cells.every((cell) => !cell || cell.includes("@"))) {
      return cells.filter(Boolean).map((cell) => rowOf(line, ["email"], [cell]));
    }
    return [rowOf(line, columns, cells)];
  });
}

/**
 * @param {string[]} cells
 * @returns {(keyof typeof COLUMNS | null)[] | null} null when the first line has no column names
 */
function columnsOf(cells) {
  if (cells.some((cell) => cell.includes("@"))) return null;
  const names = cells.map((cell) => ORDER.find((name) => COLUMNS[name].test(cell.toLowerCase())) ?? null);
  return names.includes("email") ? names : null;
}

/**
 * @param {number} line
 * @param {(keyof typeof COLUMNS | null)[]} columns
 * @param {string[]} cells
 * @returns {Row}
 */
function rowOf(line, columns, cells) {
  const cell = (/** @type {keyof typeof COLUMNS} */ name) => cells[columns.indexOf(name)] ?? "";
  const email = cell("email")
    .replace(NAMED, "$1")
    .replace(/^mailto:/i, "");
  return { line, email, role: cell("role").toUpperCase(), message: cell("message"), locale: cell("locale"), problem: "" };
}

/**
 * Sets the problem of each row.
 * @param {Row[]} rows
 * @param {Community} community
 */
export function checkRows(rows, { viewerRole, policy }) {
  /** @type {Map<string, number>} */
  const seen = new Map();
  const allowed = policy.allowedEmailDomains;
  for (const row of rows) {
    const address = row.email.toLowerCase();
    const first = seen.get(address);
    row.problem = problemOf(row, viewerRole, allowed) || (first === undefined ? "" : t("many.twice", { line: first }));
    if (!row.problem) seen.set(address, row.line);
  }
}

/**
 * @param {Row} row
 * @param {Role} highest
 * @param {string[]} allowed
 */
function problemOf({ email, role, message }, highest, allowed) {
  if (!email) return t("many.no_address");
  if (!ADDRESS.test(email)) return t("many.bad_address");
  const domain = email.slice(email.lastIndexOf("@") + 1).toLowerCase();
  // The rules have domains in ASCII. The service checks others (bücher.example).
  if (allowed.length > 0 && /^[\x21-\x7e]+$/.test(domain) && !allowed.includes(domain)) return t("many.domain", { domain });
  const known = /** @type {Role} */ (role);
  if (role && !ROLES.includes(known)) return t("many.no_role", { role });
  if (role && !rolesUpTo(highest).includes(known)) return t("many.high_role");
  return message.length > LONGEST_MESSAGE ? t("many.long_message") : "";
}

/**
 * The text of a file: UTF-8, UTF-16 with a byte order mark, or Windows-1252.
 * @param {Blob} file
 */
export async function textOf(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const marks = /** @type {Record<string, string>} */ ({ "255,254": "utf-16le", "254,255": "utf-16be" });
  const encoding = marks[`${bytes[0]},${bytes[1]}`];
  if (encoding) return new TextDecoder(encoding).decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}
