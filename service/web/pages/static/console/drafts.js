// What was typed when the session turned out to have ended: kept in this tab over the sign-in, for the same person and
// the same view, and put back once.

import { part } from "../page.js";

const KEY = "draft";

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control */
/** @typedef {{ owner: string, view: string, values: Record<string, string | boolean> }} Draft */

/** The named controls of the view that is shown. */
function controls() {
  /** @type {NodeListOf<Control>} */
  const found = part("view").querySelectorAll("input[name], select[name], textarea[name]");
  return [...found].filter((control) => !["search", "file"].includes(control.type));
}

/** @param {Control} control */
const isTicked = (control) => control instanceof HTMLInputElement && ["checkbox", "radio"].includes(control.type);

/** @param {Control} control */
const keyOf = (control) => (isTicked(control) ? `${control.name}=${control.value}` : control.name);

/**
 * @param {string} owner the id of the member who typed it
 * @param {string} view the address that it was typed at
 */
export function keepDraft(owner, view) {
  const values = Object.fromEntries(controls().map((control) => [keyOf(control), valueOf(control)]));
  if (Object.values(values).some(Boolean)) sessionStorage.setItem(KEY, JSON.stringify({ owner, view, values }));
}

/** @param {Control} control */
const valueOf = (control) => (control instanceof HTMLInputElement && isTicked(control) ? control.checked : control.value);

/**
 * Puts back what this person had typed here, if anything; what somebody else had typed is forgotten.
 * @param {string} owner
 * @param {string} view
 */
export function restoreDraft(owner, view) {
  /** @type {Draft | null} */
  const draft = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  if (draft === null || (draft.owner === owner && draft.view !== view)) return;
  sessionStorage.removeItem(KEY);
  if (draft.owner !== owner) return;
  for (const control of controls()) put(control, draft.values[keyOf(control)]);
}

/**
 * @param {Control} control
 * @param {string | boolean | undefined} value
 */
function put(control, value) {
  if (value === undefined || value === valueOf(control)) return;
  if (control instanceof HTMLInputElement && typeof value === "boolean") control.checked = value;
  else control.value = String(value);
  for (const kind of ["input", "change"]) control.dispatchEvent(new Event(kind, { bubbles: true }));
  const folded = control.closest("details");
  if (folded) folded.open = true;
}
