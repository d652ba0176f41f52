// Lists of invitees: checks their rows, reads their files and writes them. The service checks the rows again.

import { t } from "../words.js";
import { entriesIn } from "./list-reader.js";
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
 * @property {boolean} isUnreadable
 * @property {string} problem empty without one
 */

const ADDRESS = /^[\x21-\x3f\x41-\x7e]+@[^\s@<>,;:"()\\[\]]+\.[^\s@<>,;:"()\\[\]]+$/;

/**
 * The rows of a text. An unreadable line becomes a row with a problem.
 * @param {string} text
 * @returns {Row[]}
 */
export const rowsIn = (text) =>
  entriesIn(text).map((entry) => ({
    ...entry,
    role: entry.role.toUpperCase(),
    problem: entry.isUnreadable ? t("many.quotes") : "",
  }));

/**
 * A text that gives these rows again.
 * @param {Row[]} rows
 */
export const listOf = (rows) => rows.map(lineOf).join("\n");

/** @param {Row} row */
function lineOf({ email, role, message, locale, isUnreadable }) {
  return isUnreadable ? email : [email, role, message, locale].map(quoted).join(",").replace(/,+$/, "");
}

/** @param {string} cell */
const quoted = (cell) => (/["<>,;\t\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

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
    row.problem ||= problemOf(row, viewerRole, allowed) || (first === undefined ? "" : t("many.twice", { line: first }));
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
