// Lists of invitees: checks their rows, reads their files and writes them. The service checks the rows again.

import { t } from "../words.js";
import { invisibleIn, listIn } from "./list-reader.js";
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
 * @property {import("./list-reader.js").Fault} fault
 * @property {string} problem empty without one
 */

const ADDRESS = /^[\x21-\x3f\x41-\x7e]+@[^\s@<>,;:"()\\[\]]+\.[^\s@<>,;:"()\\[\]]+$/;

/**
 * Reads the rows of a text, and the use of its columns. A row that cannot be used has a problem.
 * @param {string} text
 */
export function readRows(text) {
  const { entries, ...columns } = listIn(text);
  /** @type {Row[]} */
  const rows = entries.map((entry) => ({ ...entry, role: entry.role.toUpperCase(), problem: faultWords(entry) }));
  return { rows, ...columns };
}

/** @param {import("./list-reader.js").Entry} entry */
function faultWords({ fault, email }) {
  if (fault === "invisible") return t("many.invisible", { code: invisibleIn(email) });
  return fault === "quotes" || fault === "cells" ? t(`many.${fault}`) : "";
}

/**
 * A text that gives these rows again.
 * @param {Row[]} rows
 */
export const listOf = (rows) => rows.map(lineOf).join("\n");

/** @param {Row} row */
function lineOf({ email, role, message, locale, fault }) {
  return fault === "quotes" || fault === "cells" ? email : [email, role, message, locale].map(quoted).join(",").replace(/,+$/, "");
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
 * The text of a file: UTF-8, UTF-16 with a byte order mark, or Windows-1252. Null for other files.
 * @param {Blob} file
 */
export async function textOf(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const marks = /** @type {Record<string, string>} */ ({ "255,254": "utf-16le", "254,255": "utf-16be" });
  const marked = marks[`${bytes[0]},${bytes[1]}`];
  const texts = (marked ? [marked] : ["utf-8", "windows-1252"]).map((encoding) => decoded(bytes, encoding));
  return texts.find((text) => text !== null && !text.includes("\0")) ?? null;
}

/**
 * @param {Uint8Array} bytes
 * @param {string} encoding
 */
function decoded(bytes, encoding) {
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    // Five bytes have no character in Windows-1252. They decode to control characters.
    return encoding === "windows-1252" && /[\x80-\x9f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}
