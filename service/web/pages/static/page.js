// The building blocks of the pages: elements, views, notices, buttons, fields and dialogs.

import { RequestFailed, isAbort } from "./api.js";
import { hasFailed, stopOnFailure } from "./failure.js";
import { fromNow, language, t } from "./words.js";

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes */

/**
 * Creates an element with attributes, listeners (functions) and children. Text is never parsed as markup.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes | null} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  append(element, ...children);
  return element;
}

/**
 * Appends children, except for null, undefined and false.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function append(element, ...children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * A name or an address that a person chose. It has its own text direction (bdi).
 * @param {string} text
 */
export const isolated = (text) => h("bdi", null, text);

/**
 * An address as people write it. Where its domain is stored in another form, this ASCII form stands next to it.
 * @param {string} email
 * @param {string} displayEmail
 * @returns {Node[]}
 */
export function address(email, displayEmail) {
  const domain = h("span", { class: "ascii" }, " ", isolated(email.slice(email.lastIndexOf("@") + 1)));
  return email === displayEmail ? [isolated(email)] : [isolated(displayEmail), domain];
}

/**
 * The element with an id. Throws when the page has no such element.
 * @param {string} id
 */
export function elementById(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found;
}

/** Whether the browser can run the pages. Otherwise engine.js shows a notice, which stays. */
export const canRun = !document.documentElement.classList.contains("old-engine");

// ------------------------------------------------------------------------------------------------------------- views

/**
 * Replaces the view. The heading gets the focus, so keyboards and screen readers continue there.
 * @param {Node[]} children
 * @param {{ title: string, focus?: boolean }} how
 */
export function show(children, { title, focus = true }) {
  if (hasFailed()) return;
  const view = elementById("view");
  view.replaceChildren(...children);
  view.removeAttribute("aria-busy");
  document.title = `${title} · ${t("product")}`;
  const heading = view.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  if (!focus) return;
  scrollTo({ top: 0 });
  heading?.focus({ preventScroll: true });
}

/**
 * Announces a text to screen readers.
 * @param {string} text
 */
export function announce(text) {
  const announcer = elementById("announcer");
  announcer.textContent = "";
  setTimeout(() => (announcer.textContent = text), 50);
}

/**
 * Shows a view with one card. The card's heading is the page's title.
 * @param {string} title
 * @param {(Child | Child[])[]} children
 * @param {{ focus?: HTMLElement, above?: Node, tone?: string }} [how]
 */
export function card(title, children, { focus, above, tone } = {}) {
  const mark = tone ? h("span", { class: `mark ${tone}`, "aria-hidden": "true" }) : null;
  show([h("div", { class: "card" }, above ?? mark, h("h1", null, title), ...children)], { title });
  focus?.focus();
}

/** @param {...(Child | Child[])} children */
export const paragraph = (...children) => h("p", null, ...children);

// ------------------------------------------------------------------------------------------------------------ notices

/** @typedef {"problem" | "done" | "note"} Kind */

/**
 * A box with a sentence. Screen readers announce a problem immediately.
 * @param {Kind} kind
 * @param {...(Child | Child[])} children
 */
export function notice(kind, ...children) {
  return h("div", { class: `notice ${kind}`, role: kind === "problem" ? "alert" : null }, h("div", null, ...children));
}

/**
 * A sentence of the service, in the reader's language. It may contain names with another text direction.
 * @param {string} sentence
 */
export const serviceText = (sentence) => h("span", { dir: "auto" }, sentence);

/**
 * The sentence of an API problem, and the time of the next try if the problem has one.
 * @param {import("./api.js").Problem} problem
 * @returns {Child[]}
 */
export function problemWords(problem) {
  const seconds = problem.retryAfterSeconds;
  const when = seconds === undefined ? null : ` ${t("retry_after", { when: fromNow(seconds, { exact: true }) })}`;
  return [serviceText(problem.message), when];
}

// ------------------------------------------------------------------------------------------------------------ buttons

/**
 * A button that ignores presses while its work runs. Failed requests appear in `problems`.
 * @param {Child | Child[]} label
 * @param {{ class?: string, problems?: Element, type?: "button" | "submit", [attribute: string]: any }} how
 * @param {((button: HTMLButtonElement) => Promise<unknown> | unknown) | null} work
 */
export function button(label, { problems, ...attributes }, work) {
  const element = h("button", { type: "button", class: "button", ...attributes }, ...[label].flat());
  if (work) element.addEventListener("click", () => void stopOnFailure(busy(element, problems ?? null, () => work(element))));
  return element;
}

/**
 * Runs a button's work. The button keeps its focus and ignores further presses until the work ends.
 * @param {HTMLElement} element
 * @param {Element | null} problems
 * @param {() => unknown} work
 */
export async function busy(element, problems, work) {
  if (element.getAttribute("aria-disabled") === "true") return;
  element.setAttribute("aria-disabled", "true");
  problems?.replaceChildren();
  const slow = setTimeout(() => element.classList.add("busy"), 250);
  try {
    await work();
  } catch (error) {
    if (isAbort(error)) return;
    if (!(error instanceof RequestFailed) || !problems) throw error;
    problems.replaceChildren(notice("problem", error.message));
  } finally {
    clearTimeout(slow);
    element.classList.remove("busy");
    element.removeAttribute("aria-disabled");
  }
}

/**
 * Runs some work when a form is submitted.
 * @param {HTMLFormElement} form
 * @param {HTMLButtonElement} submit
 * @param {Element} problems
 * @param {() => unknown} work
 */
export function onSubmit(form, submit, problems, work) {
  form.noValidate = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void stopOnFailure(busy(submit, problems, work));
  });
}

// ------------------------------------------------------------------------------------------------------------- fields

let fields = 0;

/**
 * A labelled control with a hint and an error message.
 * @template {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control
 * @param {Control} control
 * @param {string} label
 * @param {Child | Child[]} [hint]
 */
export function field(control, label, hint) {
  const id = `field-${++fields}`;
  control.id ||= id;
  const error = h("p", { class: "field-error", id: `${id}-error` });
  const hintElement = hint ? h("p", { class: "hint", id: `${id}-hint` }, ...[hint].flat()) : null;
  control.setAttribute("aria-describedby", hintElement ? `${hintElement.id} ${error.id}` : error.id);
  const element = h("div", { class: "field" }, h("label", { for: control.id }, label), control, hintElement, error);
  const setError = errorSetter(control, error);
  control.addEventListener("input", () => setError(null));
  return { element, control, hint: hintElement, setError };
}

/**
 * Shows a reason as the control's error and focuses the control; null removes the error.
 * @param {HTMLElement} control
 * @param {HTMLElement} error
 * @returns {(reason: Child | Child[] | null) => void}
 */
function errorSetter(control, error) {
  return (reason) => {
    error.replaceChildren();
    if (reason === null) return control.removeAttribute("aria-invalid");
    append(error, reason);
    control.setAttribute("aria-invalid", "true");
    control.focus();
    return announce(error.textContent ?? "");
  };
}

// ------------------------------------------------------------------------------------------------------------ dialogs

/**
 * Opens a dialog that asks for confirmation. The dialog stays open when the work fails, and shows the reason.
 * @param {{ title: string, text: Child | Child[], yes: string, no: string, extra?: Node, danger?: boolean }} words
 * @param {(problems: Element, dialog: HTMLDialogElement) => Promise<boolean>} work returns true when the dialog can close
 */
export function confirm({ title, text, yes, no, extra, danger = true }, work) {
  const problems = h("div", { class: "problems" });
  const confirmButton = button(yes, { class: `button ${danger ? "danger" : "primary"}`, problems }, async () => {
    if (await work(problems, dialog)) dialog.close();
  });
  const onClose = () => {
    dialog.remove();
    // The element that had the focus may belong to a replaced view.
    if (document.activeElement === document.body) elementById("view").querySelector("h1")?.focus();
  };
  /** @type {HTMLDialogElement} */
  const dialog = h(
    "dialog",
    { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text", close: onClose },
    h("h2", { id: "dialog-title" }, title),
    h("p", { id: "dialog-text" }, ...[text].flat()),
    extra,
    problems,
    h("div", { class: "actions" }, button(no, { class: "button", autofocus: true }, () => dialog.close()), confirmButton),
  );
  document.body.append(dialog);
  dialog.showModal();
}

// --------------------------------------------------------------------------------------------------------- small parts

const HUES = [220, 262, 335, 14, 150, 190];

/**
 * The emblem of a community: its initials on a colour derived from its name.
 * @param {string} name
 */
export function emblem(name) {
  const words = name.split(/[\s\-_.]+/).filter(Boolean);
  const initials = words.slice(0, 2).map((word) => [...word][0] ?? "");
  const element = h("span", { class: "emblem", "aria-hidden": "true" }, initials.join("").toLocaleUpperCase());
  let sum = 0;
  for (const character of name) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
  element.style.setProperty("--hue", String(HUES[sum % HUES.length]));
  return element;
}

/**
 * Translates the texts of the page's markup.
 * @param {ParentNode} root
 */
export function translate(root) {
  document.documentElement.lang = language;
  for (const template of root.querySelectorAll("template")) translate(template.content);
  for (const element of root.querySelectorAll("[data-words]")) {
    const id = /** @type {import("./words.js").WordId} */ (element.getAttribute("data-words"));
    element.textContent = t(id);
  }
}
