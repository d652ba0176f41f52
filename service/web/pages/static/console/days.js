// Date fields: days in the reader's time zone, as instants of the API.

/** The last day of a date field. Without a limit, browsers offer years of six digits. */
export const LAST_DAY = "9999-12-31";

const DAY_MS = 86_400_000;
// The API takes instants from the second day of the year 1 to the last but one of the year 9999.
const EARLIEST = Date.parse("0001-01-02T00:00:00Z");
const LATEST = Date.parse("9999-12-30T00:00:00Z");

/**
 * The instants between which the days of a period lie, the first and the last day included. A day that the API cannot name
 * becomes the nearest one that it can.
 * @param {string | null} first YYYY-MM-DD; another text is no bound
 * @param {string | null} last
 * @returns {{ after?: string, before?: string }}
 */
export function period(first, last) {
  const [after, before] = [startOf(first, 0), startOf(last, 1)];
  return {
    ...(after !== null && { after: instant(after, EARLIEST, LATEST - DAY_MS) }),
    ...(before !== null && { before: instant(before, EARLIEST + DAY_MS, LATEST) }),
  };
}

/**
 * The start of a day, some days later; infinite beyond the calendar of the browser, and null for no day.
 * @param {string | null} text
 * @param {number} later
 */
function startOf(text, later) {
  const [year, month, day] = (/^(\d{4,6})-(\d\d)-(\d\d)$/.exec(text ?? "") ?? []).slice(1).map(Number);
  if (year === undefined || month === undefined || day === undefined) return null;
  const date = new Date(0);
  date.setFullYear(year, month - 1, day);
  date.setHours(0, 0, 0, 0);
  if (Number.isNaN(date.getTime())) return Infinity;
  if (date.getMonth() !== month - 1 || date.getDate() !== day) return null;
  date.setDate(day + later);
  return Number.isNaN(date.getTime()) ? Infinity : date.getTime();
}

/**
 * @param {number} time
 * @param {number} earliest
 * @param {number} latest
 */
const instant = (time, earliest, latest) => new Date(Math.min(Math.max(time, earliest), latest)).toISOString();
