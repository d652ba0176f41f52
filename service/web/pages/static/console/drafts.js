// Drafts: the typed values of a view whose session ended. They stay in this tab during the sign-in, for the same member and
// the same view, and are restored once.

import { elementById } from "../page.js";
import { drop, keep, kept } from "../tab.js";

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control */
/** @typedef {{ owner: string, view: string, values: Record<string, string | boolean> }} Draft */

/** The named controls of the view that is shown. */
function controls() {
  /** @type {NodeListOf<Control>} */
  const found = elementById("view").querySelectorAll("input[name], select[name], textarea[name]");
  return [...found].filter((control) => !["search", "file"].includes(control.type));
}

/** @param {Control} control */
const isTicked = (control) => control instanceof HTMLInputElement && ["checkbox", "radio"].includes(control.type);

/** @param {Control} control */
const keyOf = (control) => (isTicked(control) ? `${control.name}=${control.value}` : control.name);

/**
 * @param {string} owner the id of the member
 * @param {string} view the address of the view
 */
export function keepDraft(owner, view) {
  const values = Object.fromEntries(controls().map((control) => [keyOf(control), valueOf(control)]));
  if (Object.values(values).some(Boolean)) keep("draft", JSON.stringify({ owner, view, values }));
}

/** @param {Control} control */
const valueOf = (control) => (control instanceof HTMLInputElement && isTicked(control) ? control.checked : control.value);

/**
 * Restores the typed values of this member in this view. Deletes the draft of another member.
 * @param {string} owner
 * @param {string} view
 */
export function restoreDraft(owner, view) {
  /** @type {Draft | null} */
  const draft = JSON.parse(kept("draft") ?? "null");
  if (draft === null || (draft.owner === owner && draft.view !== view)) return;
  drop("draft");
  if (draft.owner !== owner) return;
  for (const control of controls()) restoreValue(control, draft.values[keyOf(control)]);
}

/**
 * @param {Control} control
 * @param {string | boolean | undefined} value
 */
function restoreValue(control, value) {
  if (value === undefined || value === valueOf(control)) return;
  if (control instanceof HTMLInputElement && typeof value === "boolean") control.checked = value;
  else control.value = String(value);
  for (const kind of ["input", "change"]) control.dispatchEvent(new Event(kind, { bubbles: true }));
  const details = control.closest("details");
  if (details) details.open = true;
}
