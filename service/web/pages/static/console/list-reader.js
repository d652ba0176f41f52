// Reads lists of invitees: addresses, recipients of a mail program, rows of a spreadsheet, and exports of address books.
//
// `guestlist invite` has the same reader (service/invitations/invitee_list.py). The cases of both are in
// tests/support/invitee_lists.py.

/**
 * The cells of one invitee as written, and the line on which the row begins. An unreadable row is its own `email`.
 * @typedef {{ line: number, email: string, role: string, message: string, locale: string, isUnreadable: boolean }} Entry
 */

/** A row with its first line. Quoted cells may have several lines. `isOpen` means that a quotation mark stays open.
 * @typedef {{ line: number, text: string, isOpen: boolean }} Row */

/** @typedef {"email" | "role" | "message" | "locale"} Column */
/** @typedef {Partial<Record<Column, number>>} Columns the positions of the columns */

/** The lines of a quoted cell. A quotation mark that stays open longer is an error. */
const LONGEST_CELL = 200;

/**
 * The entries of a text, in order. A header row gives none.
 * @param {string} text
 * @returns {Entry[]}
 */
export function entriesIn(text) {
  let rows = rowsOf(text);
  const named = NAMED_SEPARATOR.exec(rows[0]?.text ?? "");
  if (named) rows = rows.slice(1);
  const separator = named?.[1] ?? separatorOf(rows);
  const columns = columnsOf(cellsOf(rows[0]?.text ?? "", separator) ?? []);
  if (columns) return rows.slice(1).flatMap((row) => tableRow(row, separator, columns));
  const usual = rows.map(({ text }) => addressAt(cellsOf(text, separator))).find((at) => at !== null) ?? 0;
  return rows.flatMap((row) => freeRow(row, separator, usual));
}

/**
 * The entries of a row without a header: every recipient, or the cells from the first address on. The row may have another
 * separator than the others.
 * @param {Row} row
 * @param {string} separator
 * @param {number} usual the position of the address in other rows
 * @returns {Entry[]}
 */
function freeRow(row, separator, usual) {
  const recipients = recipientsIn(row.text);
  if (recipients.length > 0) return recipients.map((email) => entry(row.line, { email }));
  const own = bestSeparator(row.text, separator);
  return tableRow(row, own, columnsFrom(addressAt(cellsOf(row.text, own)) ?? usual));
}

/**
 * @param {Row} row
 * @param {string} separator
 * @param {Columns} columns
 * @returns {Entry[]}
 */
function tableRow(row, separator, columns) {
  const cells = row.isOpen ? null : cellsOf(row.text, separator);
  if (!cells) return [entry(row.line, { email: trimmed(row.text), isUnreadable: true })];
  if (!cells.some(Boolean)) return [];
  const cell = (/** @type {Column} */ column) => cells[columns[column] ?? cells.length] ?? "";
  // A row without an address shows its first cell, so that people recognise it.
  const email = addressIn(cell("email")) || cells.find(Boolean) || "";
  return [entry(row.line, { email, role: cell("role"), message: cell("message"), locale: cell("locale") })];
}

/**
 * @param {number} line
 * @param {Partial<Entry>} cells
 * @returns {Entry}
 */
const entry = (line, cells) => ({ email: "", role: "", message: "", locale: "", isUnreadable: false, ...cells, line });

// ---------------------------------------------------------------------------------------------------------------- rows

// Blanks and invisible characters, which pasted text has around addresses. An invisible character inside an address stays, and
// makes it invalid: without it, the text would be another address.
const BLANK = "\t\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";
const INVISIBLE = "\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff";
const EDGES = new RegExp(`^[\n${BLANK}${INVISIBLE}]+|[\n${BLANK}${INVISIBLE}]+$`, "g");
const LINE_BREAK = /\r\n?|\n/;
const SEPARATORS = [",", ";", "\t"];
/** Some spreadsheets begin a file with this line. */
const NAMED_SEPARATOR = /^"?sep=([,;\t])"?$/i;

/** @param {string} text */
const trimmed = (text) => text.replace(EDGES, "");

/**
 * The rows that are not blank.
 * @param {string} text
 * @returns {Row[]}
 */
function rowsOf(text) {
  const lines = text.replace(/^\ufeff/, "").split(LINE_BREAK);
  const rows = [];
  for (let at = 0; at < lines.length; ) {
    const length = linesOfRow(lines.slice(at, at + LONGEST_CELL));
    rows.push({ line: at + 1, text: lines.slice(at, at + (length ?? 1)).join("\n"), isOpen: length === null });
    at += length ?? 1;
  }
  return rows.filter((row) => trimmed(row.text));
}

/**
 * The number of lines up to the end of a row; null when a quoted cell does not end.
 * @param {string[]} lines
 */
function linesOfRow(lines) {
  let isOpen = false;
  for (const [index, line] of lines.entries()) {
    isOpen = isOpenAfter(line, isOpen);
    if (!isOpen) return index + 1;
  }
  return null;
}

const OPENING = new RegExp(`(?:^|[,;\t])[${BLANK}${INVISIBLE}]*"`, "g");
const REST_OF_QUOTED = /(?:[^"]|"")*("(?!"))?/y;

/**
 * Whether a quoted cell is open after a line. A quotation mark opens a cell only where a cell begins (RFC 4180).
 * @param {string} line
 * @param {boolean} isOpen before the line
 */
function isOpenAfter(line, isOpen) {
  for (let at = 0; ; ) {
    if (isOpen) {
      REST_OF_QUOTED.lastIndex = at;
      if (!REST_OF_QUOTED.exec(line)?.[1]) return true;
      at = REST_OF_QUOTED.lastIndex;
    }
    OPENING.lastIndex = at;
    if (!OPENING.exec(line)) return false;
    at = OPENING.lastIndex;
    isOpen = true;
  }
}

/**
 * The separator of the first row of a table.
 * @param {Row[]} rows
 */
function separatorOf(rows) {
  const isTable = (/** @type {Row} */ { text }) => SEPARATORS.some((mark) => text.includes(mark)) && recipientsIn(text).length === 0;
  return bestSeparator(rows.find(isTable)?.text ?? "", ",");
}

/**
 * The separator that gives a header, or a cell with an address, or most cells; the usual one if others fit no better.
 * @param {string} row
 * @param {string} usual
 */
function bestSeparator(row, usual) {
  const fits = [usual, ...SEPARATORS].map((separator) => ({ separator, fit: fitOf(cellsOf(row, separator) ?? []) }));
  return fits.reduce((best, other) => (isGreater(other.fit, best.fit) ? other : best)).separator;
}

/** @param {string[]} cells */
const fitOf = (cells) => [Number(columnsOf(cells) !== null), Number(addressAt(cells) !== null), cells.length];

/**
 * @param {number[]} one
 * @param {number[]} other
 */
function isGreater(one, other) {
  const differing = one.findIndex((value, index) => value !== other[index]);
  return differing >= 0 && (one[differing] ?? 0) > (other[differing] ?? 0);
}

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

/**
 * The cells of a row, unquoted and trimmed; null when its quotation marks do not fit.
 * @param {string} row
 * @param {string} separator
 */
function cellsOf(row, separator) {
  const pattern = /** @type {RegExp} */ (CELLS.get(separator));
  /** @type {string[]} */
  const cells = [];
  for (let at = 0; ; at += 1) {
    pattern.lastIndex = at;
    const cell = pattern.exec(row)?.groups;
    if (!cell) return null;
    at = pattern.lastIndex;
    const text = cell["quoted"] ? cell["quoted"].slice(1, -1).replace(/""/g, '"') : cell["named"] || cell["plain"] || "";
    cells.push(trimmed(unguarded(trimmed(text))));
    if (at === row.length) return cells;
    if (row[at] !== separator) return null;
  }
}

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

// ----------------------------------------------------------------------------------------------------------- addresses

const PART = `[^\n${BLANK}${INVISIBLE}<>,;:"()\\\\\\[\\]@]+`;
const BARE = new RegExp(`^(?:mailto:)?(${PART}@${PART})$`, "i");
const NAMED = '(?:"[^"\\n]*"|[^"<>@\\n])*<([^<>\\n]*@[^<>\\n]*)>';
const ONE_NAMED = new RegExp(`^${NAMED}$`);
const RECIPIENTS = new RegExp(`^(?:${NAMED})+[;,${BLANK}${INVISIBLE}]*$`);
const PIECE = /(?:"[^"\n]*"|[^";,\n])+/g;
const GAP = new RegExp(`[;,${BLANK}]+`);

/**
 * The addresses of a row that has only recipients, such as "Smith, Ann" <ann@example.com>; bob@example.com.
 * @param {string} row
 * @returns {string[]}
 */
function recipientsIn(row) {
  const text = trimmed(row);
  if (RECIPIENTS.test(text)) return [...text.matchAll(new RegExp(NAMED, "g"))].map(([, address]) => trimmed(address ?? ""));
  for (const pieces of [text.match(PIECE) ?? [], text.split(GAP)]) {
    const mailboxes = pieces.map(trimmed).filter(Boolean).map(mailboxOf);
    const addresses = mailboxes.filter((address) => address !== null);
    if (mailboxes.length > 1 && addresses.length === mailboxes.length) return /** @type {string[]} */ (addresses);
  }
  return [];
}

/**
 * The address of a text that is an address, or a name with an address in angle brackets.
 * @param {string} text
 */
function mailboxOf(text) {
  const found = BARE.exec(text) ?? ONE_NAMED.exec(text);
  return found ? trimmed(found[1] ?? "") : null;
}

/**
 * The position of the first cell with an address. People put names before it.
 * @param {string[] | null} cells
 */
function addressAt(cells) {
  const at = cells?.findIndex((cell) => mailboxOf(cell) !== null) ?? -1;
  return at < 0 ? null : at;
}

/**
 * The address of a cell as written. Google separates several values by three colons; the first one counts.
 * @param {string} cell
 */
function addressIn(cell) {
  const first = trimmed(cell.split(" ::: ")[0] ?? "");
  return mailboxOf(first) ?? first;
}

// ------------------------------------------------------------------------------------------------------------- columns

// The names of the columns in the languages of the pages and of address books. "Address" alone may be that of a house.
const MAIL =
  "(primary |member |user )?e-?mail([ -]address)?( 1 - value)?|mail([ -]address)?|adresse[ -](e-?)?mail|e-?mail-?adresse" +
  "|mail-?adresse|adresse (de messagerie|électronique)|courriel|(direcci[oó]n de )?correo( electr[oó]nico)?";
/** @type {Record<Column, RegExp[]>} */
const COLUMNS = {
  email: [new RegExp(`^(?:${MAIL})$`), /^(?:address|adresse|direcci[oó]n)$/],
  role: [/^(?:role|rolle|r[oô]le|rol)$/],
  message: [/^(?:message|nachricht|mensaje)$/],
  locale: [/^(?:locale|language|sprache|langue|idioma)$/],
};
const ORDER = /** @type {Column[]} */ (Object.keys(COLUMNS));
const MARK_OF_REQUIRED = / *([[(](required|erforderlich|obligatoire|obligatorio)[\])]|\*)$/;

/**
 * The position of each known column in a header; null when the row is no header.
 * @param {string[]} cells
 * @returns {Columns | null}
 */
function columnsOf(cells) {
  if (cells.some((cell) => cell.includes("@"))) return null;
  const names = cells.map((cell) => cell.toLowerCase().replace(MARK_OF_REQUIRED, ""));
  /** @type {Columns} */
  const columns = {};
  for (const column of ORDER) {
    const at = COLUMNS[column].map((pattern) => names.findIndex((name) => pattern.test(name))).find((at) => at >= 0);
    if (at !== undefined) columns[column] = at;
  }
  return columns.email === undefined ? null : columns;
}

/**
 * The columns of a row without a header whose address is at a position.
 * @param {number} at
 * @returns {Columns}
 */
const columnsFrom = (at) => Object.fromEntries(ORDER.map((column, offset) => [column, at + offset]));
