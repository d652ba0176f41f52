// Reads lists of invitees: addresses, recipients of a mail program, rows of a spreadsheet, and exports of address books.
//
// `guestlist invite` has the same reader (service/invitations/invitee_list.py). The cases of both are in
// tests/support/invitee_lists.py.

import { ROLES } from "./community-page.js";

/** @typedef {import("../operations.js").Role} Role */

/**
 * The cells of one invitee as written, and the line on which the row begins. A fault is the reason for which the row cannot be
 * used: its quotation marks do not fit, it has more cells than columns, or its address has an invisible character. The text of a
 * row with one of the first two faults is its `email`.
 * @typedef {{ line: number, email: string, role: string, message: string, locale: string, fault: Fault }} Entry
 */
/** @typedef {"" | "quotes" | "cells" | "invisible"} Fault */

/**
 * The entries of a list, and the use of the columns of its header. An export of contacts or users has many other columns: only
 * the addresses are read.
 * @typedef {object} InviteeList
 * @property {Entry[]} entries
 * @property {string} column the name of the column of addresses; empty without a header
 * @property {boolean} isExport
 * @property {string[]} unused names of columns
 * @property {string[]} unsupported names of columns that no list can set
 * @property {number} leftOut rows of an export without an address
 */

/** @typedef {"email" | "role" | "message" | "locale"} Column */
/** @typedef {{ separator: string, columns: Partial<Record<Column, number>>, emails: number[], width: number, isExport: boolean }} Header */
/** @typedef {string[] | null} Cells null when the quotation marks do not fit */
/** @typedef {{ line: number, text: string, cells: Cells }} Row */
/** @typedef {[cells: Cells, following: number]} Read the cells of a row, and the index of the line after it */

/** The lines of a quoted cell. A quotation mark that stays open longer is an error. */
const LONGEST_CELL = 200;
/** Rows with a quotation mark that stays open. Each costs a search for its end. */
const MOST_OPEN = 50;
/** Lines that decide on the separator. */
const SAMPLE = 100;

// ---------------------------------------------------------------------------------------------------------------- list

/**
 * Reads a text. A header gives no entry.
 * @param {string} text
 * @returns {InviteeList}
 */
export function listIn(text) {
  /** @type {InviteeList} */
  const found = { entries: [], column: "", isExport: false, unused: [], unsupported: [], leftOut: 0 };
  const lines = text.replace(/^\ufeff/, "").split(LINE_BREAK);
  const named = NAMED_SEPARATOR.exec(trimmed(lines[0] ?? ""))?.[1] ?? null;
  const first = lines.findIndex((line, at) => trimmed(line) && !(named && at === 0));
  if (first < 0) return found;
  const [header, start] = headerOf(lines, first, named, found);
  if (header) {
    for (const row of tableRows(lines, start, header.separator)) addTableEntry(found, header, row);
  } else {
    for (const row of freeRows(lines, start, named ?? usualSeparator(lines, start))) found.entries.push(...freeEntries(row));
  }
  return found;
}

const SEPARATORS = [",", ";", "\t"];
const LINE_BREAK = /\r\n?|\n/;
/** Some spreadsheets begin a file with this line. */
const NAMED_SEPARATOR = /^"?sep=([,;\t])"?$/i;

// Blanks and invisible characters, which pasted text has around addresses. An invisible character inside an address stays, and
// makes it invalid: without it, the text would be another address.
const BLANK = "\t\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";
const INVISIBLE = "\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff";
const ONE_BLANK = new RegExp(`[\n${BLANK}]`);
const ONE_AROUND = new RegExp(`[\n${BLANK}${INVISIBLE}]`);
const ONE_INVISIBLE = new RegExp(`[${INVISIBLE}]`);

/** @param {string} text */
const trimmed = (text) => stripped(text, ONE_AROUND);

/**
 * @param {string} text
 * @param {RegExp} around of one character
 */
function stripped(text, around) {
  let [start, end] = [0, text.length];
  while (start < end && around.test(text.charAt(start))) start += 1;
  while (start < end && around.test(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

/**
 * The separator that leaves an address alone in a cell in most lines, or else is the most frequent one.
 * @param {string[]} lines
 * @param {number} start
 */
function usualSeparator(lines, start) {
  const marked = lines.slice(start, start + SAMPLE).filter((line) => SEPARATORS.some((mark) => line.includes(mark)));
  const sample = marked.filter((line) => recipientsIn(line).length === 0);
  const fits = SEPARATORS.map((mark) => ({
    mark,
    alone: sample.filter((line) => line.split(mark).some(isAddress)).length,
    count: (sample[0] ?? "").split(mark).length,
  }));
  return fits.reduce((best, other) =>
    other.alone > best.alone || (other.alone === best.alone && other.count > best.count) ? other : best,
  ).mark;
}

// ---------------------------------------------------------------------------------------------------------------- rows

/**
 * Each row, and a row for each recipient.
 * @param {string[]} lines
 * @param {number} start
 * @param {string} usual
 * @returns {Generator<Row>}
 */
function* freeRows(lines, start, usual) {
  for (let at = start, opened = 0; at < lines.length; ) {
    const recipients = recipientsIn(lines[at] ?? "");
    if (recipients.length > 0) {
      for (const address of recipients) yield { line: at + 1, text: address, cells: [address] };
      at += 1;
      continue;
    }
    /** @type {Read} */
    const [cells, following] = opened < MOST_OPEN ? freeRow(lines, at, usual) : [null, at + 1];
    opened += Number(cells === null);
    yield { line: at + 1, text: lines.slice(at, following).join("\n"), cells };
    at = following;
  }
}

/**
 * Reads a row, which may have another separator than the others.
 * @param {string[]} lines
 * @param {number} at
 * @param {string} usual
 * @returns {Read}
 */
function freeRow(lines, at, usual) {
  for (const separator of [usual, ...SEPARATORS]) {
    const [cells, following] = rowAt(lines, at, separator);
    if (cells?.some(isAddress)) return [cells, following];
  }
  return rowAt(lines, at, usual);
}

/**
 * @param {string[]} lines
 * @param {number} start
 * @param {string} separator
 * @returns {Generator<Row>}
 */
function* tableRows(lines, start, separator) {
  for (let at = start, opened = 0; at < lines.length; ) {
    /** @type {Read} */
    const [cells, following] = opened < MOST_OPEN ? rowAt(lines, at, separator) : [null, at + 1];
    opened += Number(cells === null);
    yield { line: at + 1, text: lines.slice(at, following).join("\n"), cells };
    at = following;
  }
}

/**
 * The cells of the row that begins on a line, unquoted and trimmed. A row whose quotation marks do not fit has one line.
 * @param {string[]} lines
 * @param {number} at
 * @param {string} separator
 * @returns {Read}
 */
function rowAt(lines, at, separator) {
  const line = lines[at] ?? "";
  if (!line.includes('"')) return [line.split(separator).map(cellOf), at + 1];
  const text = lines.slice(at, at + LONGEST_CELL).join("\n");
  const pattern = /** @type {RegExp} */ (CELLS.get(separator));
  /** @type {string[]} */
  const cells = [];
  for (let end = 0; ; end += 1) {
    pattern.lastIndex = end;
    const cell = pattern.exec(text)?.groups;
    if (!cell) return [null, at + 1];
    end = pattern.lastIndex;
    cells.push(cellOf(cell["quoted"] ? cell["quoted"].slice(1, -1).replace(/""/g, '"') : cell["named"] || cell["plain"] || ""));
    if (end === text.length || text[end] === "\n") return [cells, at + text.slice(0, end).split("\n").length];
    if (text[end] !== separator) return [null, at + 1];
  }
}

/**
 * A cell without the blanks around it. Invisible characters belong to texts of some scripts.
 * @param {string} text
 */
const cellOf = (text) => stripped(unguarded(text), ONE_BLANK);

/**
 * A cell: a quoted name before its address, a quoted cell, or text that begins with no quotation mark.
 * @param {string} separator
 */
function cellPattern(separator) {
  const around = `[${BLANK}${INVISIBLE}]*`.replace(separator, "");
  const [named, quoted] = [`"[^"\n]*"${around}<[^<>\n]*>`, `"(?:[^"]|"")*"`];
  return new RegExp(`${around}(?:(?<named>${named})|(?<quoted>${quoted}))${around}|(?<plain>(?!${around}")[^${separator}\n]*)`, "y");
}

const CELLS = new Map(SEPARATORS.map((separator) => [separator, cellPattern(separator)]));

// Exports put an apostrophe before each formula with which a cell begins, or could begin after a split (csv_cells.py).
const AROUND_CELL = '[;\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"]';
const BEFORE = new RegExp(`(^${AROUND_CELL}*|${AROUND_CELL}+)('?)`, "g");
const FORMULA = /'*[=+\-@\uff1d\uff0b\uff0d\uff20]/y;

/**
 * The text without the apostrophes of an export.
 * @param {string} guarded
 */
function unguarded(guarded) {
  const text = guarded.replace(/^'(?='*[\t\r\n])/, "");
  return text.replace(BEFORE, (whole, /** @type {string} */ before, _, /** @type {number} */ at) => {
    FORMULA.lastIndex = at + before.length;
    const beginsCell = at === 0 || /[;\t\r\n]/.test(before);
    return beginsCell && FORMULA.test(text) ? before : whole;
  });
}

// ------------------------------------------------------------------------------------------------------------- entries

/**
 * The entries of a row without a header: addresses, or the columns from the first address on. Names may be before it.
 * @param {Row} row
 * @returns {Entry[]}
 */
function freeEntries(row) {
  const { cells } = row;
  if (!cells) return [faultyEntry(row, "quotes")];
  const filled = cells.filter(trimmed);
  const isGapless = cells.slice(0, filled.length).every(trimmed);
  if (filled.length > 1 && isGapless && filled.every(isAddress)) return filled.map((cell) => entryOf(row, cell));
  const found = Math.max(0, cells.findIndex(isAddress));
  const [email = "", role, message, locale, ...rest] = cells.slice(cells.slice(0, found).some(isRole) ? 0 : found);
  return filled.length > 0 ? [entryOf(row, email, role, message, locale, rest)] : [];
}

/**
 * @param {InviteeList} found
 * @param {Header} header
 * @param {Row} row
 */
function addTableEntry(found, header, row) {
  const { cells } = row;
  if (!cells) return void found.entries.push(faultyEntry(row, "quotes"));
  if (!cells.some(trimmed)) return;
  const cell = (/** @type {number | undefined} */ position) => cells[position ?? cells.length] ?? "";
  const { email, role, message, locale } = header.columns;
  if (!header.isExport) {
    const rest = cells.slice(header.width);
    return void found.entries.push(entryOf(row, cell(email), cell(role), cell(message), cell(locale), rest));
  }
  const [address] = header.emails.flatMap((position) => valuesOf(cell(position)));
  if (address) found.entries.push(entryOf(row, address));
  else found.leftOut += 1;
}

/**
 * The values of a cell. Google separates several ones by three colons.
 * @param {string} cell
 */
const valuesOf = (cell) => cell.split(":::").map(trimmed).filter(Boolean);

/**
 * @param {Row} row
 * @param {Fault} fault
 * @returns {Entry}
 */
const faultyEntry = ({ line, text }, fault) => ({ line, email: trimmed(text), role: "", message: "", locale: "", fault });

/**
 * An entry. A row without an address shows its first cell.
 * @param {Row} row
 * @param {string} cell
 * @param {string[]} [rest] the cells beyond the columns
 * @returns {Entry}
 */
function entryOf(row, cell, role = "", message = "", locale = "", rest = []) {
  if (rest.some(trimmed)) return faultyEntry(row, "cells");
  const email = addressIn(cell) || trimmed(row.cells?.find(trimmed) ?? "");
  const fault = ONE_INVISIBLE.test(email) ? "invisible" : "";
  return { line: row.line, email, role: trimmed(role), message, locale: trimmed(locale), fault };
}

/**
 * The name of the first invisible character of a text, such as U+200B.
 * @param {string} text
 */
export function invisibleIn(text) {
  const code = ONE_INVISIBLE.exec(text)?.[0].codePointAt(0) ?? 0;
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

// ----------------------------------------------------------------------------------------------------------- addresses

const PART = `[^\n${BLANK}<>,;:"()\\\\\\[\\]@]+`;
const BARE = new RegExp(`^${PART}@${PART}$`);
const NAMED = /^[^<>]*<([^<>@]*@[^<>]*)>$/;
const QUOTED = /"(?:[^"\\\n]|\\[^\n])*"/g;
const GAP = new RegExp(`[;,${BLANK}]+`);
const EMPTY_CELL = new RegExp(`,[${BLANK}]*,`);

/**
 * The addresses of a line that has only recipients, such as "Smith, Ann" <ann@example.com>; bob@example.com.
 * @param {string} line
 * @returns {string[]}
 */
function recipientsIn(line) {
  if (!line.includes("@")) return [];
  return line.includes("<") ? mailboxesIn(line) : bareAddresses(line);
}

/**
 * The addresses of a text that has only addresses between blanks, commas and semicolons.
 * @param {string} text
 */
function bareAddresses(text) {
  const parts = text.split(GAP).map(trimmed).filter(Boolean);
  return parts.every(isAddress) ? parts.map(addressIn) : [];
}

/**
 * The addresses in angle brackets, which mail programs write after names, and bare addresses between them.
 * @param {string} line
 * @returns {string[]}
 */
function mailboxesIn(line) {
  const parts = line.split(/<([^<>]*)>/);
  const tail = parts.pop() ?? "";
  /** @type {string[]} */
  const found = [];
  for (let index = 0; index < parts.length; index += 2) {
    const [text = "", address = ""] = parts.slice(index, index + 2);
    const names = text.replace(QUOTED, "");
    const before = names.split(/[,;]/).map(trimmed);
    const name = before.pop() ?? "";
    // A row of cells; the address belongs to a message.
    if (names.includes('"') || !address.includes("@") || EMPTY_CELL.test(names) || before.some(isRole)) return [];
    for (const piece of before) {
      const bare = bareAddresses(piece);
      found.push(...(bare.length === 0 && piece.includes("@") ? [piece] : bare));
    }
    found.push(...addressesBefore(name), addressIn(address));
  }
  const rest = bareAddresses(tail);
  return rest.length > 0 || !trimmed(tail.split(GAP).join("")) ? [...found, ...rest] : [];
}

/**
 * The addresses at the beginning of a name. An address alone is the name itself.
 * @param {string} name
 */
function addressesBefore(name) {
  const words = name.split(GAP).filter(Boolean);
  const end = words.findIndex((word) => !isAddress(word));
  return words.slice(0, end < 0 ? Math.max(0, words.length - 1) : end);
}

/**
 * Whether a text is an address, or a name with an address in angle brackets.
 * @param {string} text
 */
const isAddress = (text) => BARE.test(addressIn(text));

/**
 * The address of a text as written.
 * @param {string} text
 */
function addressIn(text) {
  const whole = trimmed(text);
  const named = NAMED.exec(whole);
  return trimmed((named ? trimmed(named[1] ?? "") : whole).replace(/^mailto:/i, ""));
}

/** @param {string} text */
const isRole = (text) => ROLES.includes(/** @type {Role} */ (trimmed(text).toUpperCase()));

// ------------------------------------------------------------------------------------------------------------- columns

// The names of the columns in the languages of the pages and of address books. "Address" alone may be that of a house.
const MAIL =
  "(?:(primary |primäre |member |user )?e-?mail([ -]address)?( [1-9] - value)?|e-mail [2-9] address|mail([ -]address)?" +
  "|adresse[ -](e-?)?mail|(primäre )?e-?mail-?adresse|mail-?adresse|adresse (de messagerie|électronique)|courriel" +
  "|(direcci[oó]n de )?correo( electr[oó]nico)?)";
const EMAIL = new RegExp(`^${MAIL}$`);
/** @type {Record<Column, RegExp[]>} */
const COLUMNS = {
  email: [EMAIL, /^(?:address|adresse|direcci[oó]n)$/],
  role: [/^(?:role|rolle|r[oô]le|rol)$/],
  message: [/^(?:message|nachricht|mensaje)$/],
  locale: [/^(?:locale|language|sprache|langue|idioma)$/],
};
const REQUIRED = / *([[(](required|erforderlich|obligatoire|obligatorio)[\])]|\*)$/;
/** Columns by which exports of Google Contacts, Google Workspace and Outlook are known. */
const OF_EXPORT = /^(?:e-?mail [1-9] - value|.*\[required\]|e-mail [2-9] address)$/;
/** Facts about an invitation that a list cannot set. */
const UNSUPPORTED = /^(?:send ?(at|on)|membership ?ends? ?(at|on)|ends ?at)$/;

/**
 * The header and the index of the line after it. A header of one column tells nothing about the rows.
 * @param {string[]} lines
 * @param {number} first
 * @param {string | null} separator
 * @param {InviteeList} found
 * @returns {[Header | null, number]}
 */
function headerOf(lines, first, separator, found) {
  for (const mark of separator ? [separator] : SEPARATORS) {
    const [cells, following] = rowAt(lines, first, mark);
    const names = (cells ?? []).map(trimmed);
    const header = columnsOf(names, mark);
    if (!header) continue;
    noteColumns(found, header, names);
    return [header.width > 1 ? header : null, following];
  }
  return [null, first];
}

/**
 * The positions of the columns; null when the row is no header.
 * @param {string[]} names
 * @param {string} separator
 * @returns {Header | null}
 */
function columnsOf(names, separator) {
  if (names.some((name) => name.includes("@"))) return null;
  const plain = names.map(plainName);
  const bare = plain.map((name) => name.replace(REQUIRED, ""));
  /** @type {Header["columns"]} */
  const columns = {};
  for (const [column, patterns] of /** @type {[Column, RegExp[]][]} */ (Object.entries(COLUMNS))) {
    const at = patterns.map((pattern) => bare.findIndex((name) => pattern.test(name))).find((at) => at >= 0);
    if (at !== undefined) columns[column] = at;
  }
  if (columns.email === undefined) return null;
  const emails = bare.flatMap((name, at) => (EMAIL.test(name) ? [at] : []));
  const isExport = plain.some((name) => OF_EXPORT.test(name));
  return { separator, columns, emails: emails.length > 0 ? emails : [columns.email], width: names.length, isExport };
}

/** @param {string} name */
const plainName = (name) =>
  name
    .replace(/[\u2010-\u2015]/g, "-")
    .replace(new RegExp(`[\n${BLANK}_]+`, "g"), " ")
    .toLowerCase();

/**
 * @param {InviteeList} found
 * @param {Header} header
 * @param {string[]} names
 */
function noteColumns(found, { columns, emails, isExport }, names) {
  const used = Object.values(columns);
  const others = isExport ? [] : names.filter((name, at) => name && !used.includes(at));
  found.column = names[(isExport ? emails[0] : columns.email) ?? 0] ?? "";
  found.isExport = isExport;
  found.unsupported = others.filter((name) => UNSUPPORTED.test(plainName(name)));
  found.unused = others.filter((name) => !found.unsupported.includes(name));
}
