// How the pages are put together: elements, words that are said aloud, buttons that show that they work.

import { Unanswered, isAbort } from "./api.js";
import { fromNow, language, t } from "./words.js";

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes */

/**
 * An element with its attributes, listeners (functions) and children. Text is only ever text: no markup is parsed.
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
  put(element, ...children);
  return element;
}

/**
 * Adds what is not nothing.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function put(element, ...children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * A name or an address that a person chose: it keeps its own direction, whatever stands around it.
 * @param {string} text
 */
export const said = (text) => h("bdi", { class: "said" }, text);

/**
 * The element of the page that has this id.
 * @param {string} id
 */
export function part(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found;
}

// ------------------------------------------------------------------------------------------------------------- views

/**
 * Puts a view in place of the last: its heading becomes the page's title and takes the focus, so that a keyboard goes on
 * from there and a screen reader begins there.
 * @param {Node[]} children
 * @param {{ title: string, focus?: boolean }} how
 */
export function show(children, { title, focus = true }) {
  const view = part("view");
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
 * Says something aloud to those who do not see the page change.
 * @param {string} text
 */
export function announce(text) {
  const announcer = part("announcer");
  announcer.textContent = "";
  setTimeout(() => (announcer.textContent = text), 50);
}

/**
 * A view that is one card, with a heading that becomes the page's title.
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
 * A box with a sentence, next to what it is about. A problem is said aloud at once.
 * @param {Kind} kind
 * @param {...(Child | Child[])} children
 */
export function notice(kind, ...children) {
  return h("div", { class: `notice ${kind}`, role: kind === "problem" ? "alert" : null }, h("div", null, ...children));
}

/**
 * A sentence of the service, in the reader's language. It may contain names in another direction.
 * @param {string} sentence
 */
export const serviceText = (sentence) => h("span", { dir: "auto" }, sentence);

/**
 * What the API refused with, and when to try again where it says so.
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
 * A button that does one thing at a time: while it works it says so, and what fails is told in `problems`, beside it.
 * @param {Child | Child[]} label
 * @param {{ class?: string, problems?: Element, type?: "button" | "submit", [attribute: string]: any }} how
 * @param {((button: HTMLButtonElement) => Promise<unknown> | unknown) | null} work
 */
export function button(label, { problems, ...attributes }, work) {
  const element = h("button", { type: "button", class: "button", ...attributes }, ...[label].flat());
  if (work) element.addEventListener("click", () => void busy(element, problems ?? null, () => work(element)));
  return element;
}

/**
 * Runs some work for a button: a second press in the meantime does nothing, and focus stays where it is.
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
    if (!(error instanceof Unanswered) || !problems) throw error;
    problems.replaceChildren(notice("problem", error.message));
  } finally {
    clearTimeout(slow);
    element.classList.remove("busy");
    element.removeAttribute("aria-disabled");
  }
}

/**
 * A form whose button shows that it works.
 * @param {HTMLFormElement} form
 * @param {HTMLButtonElement} submit
 * @param {Element} problems
 * @param {() => unknown} work
 */
export function whenSubmitted(form, submit, problems, work) {
  form.noValidate = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void busy(submit, problems, work);
  });
}

// ------------------------------------------------------------------------------------------------------------- fields

let fields = 0;

/**
 * A labelled control with its hint, and a place for what is wrong with it.
 * @template {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control
 * @param {Control} control
 * @param {string} label
 * @param {Child | Child[]} [hint]
 */
export function field(control, label, hint) {
  const id = `field-${++fields}`;
  control.id ||= id;
  const error = h("p", { class: "field-error", id: `${id}-error` });
  const hinted = hint ? h("p", { class: "hint", id: `${id}-hint` }, ...[hint].flat()) : null;
  control.setAttribute("aria-describedby", hinted ? `${hinted.id} ${error.id}` : error.id);
  const element = h("div", { class: "field" }, h("label", { for: control.id }, label), control, hinted, error);
  const wrong = marker(control, error);
  control.addEventListener("input", () => wrong(null));
  return { element, control, hint: hinted, wrong };
}

/**
 * Marks a control as wrong, with the reason, and takes the focus there; null clears it.
 * @param {HTMLElement} control
 * @param {HTMLElement} error
 * @returns {(reason: Child | Child[] | null) => void}
 */
function marker(control, error) {
  return (reason) => {
    error.replaceChildren();
    if (reason === null) return control.removeAttribute("aria-invalid");
    put(error, reason);
    control.setAttribute("aria-invalid", "true");
    control.focus();
    return announce(error.textContent ?? "");
  };
}

// ------------------------------------------------------------------------------------------------------------ dialogs

/**
 * Asks before something that matters. Work that raises leaves the dialog open, with the reason in it.
 * @param {{ title: string, text: Child | Child[], yes: string, no: string, extra?: Node, danger?: boolean }} words
 * @param {(problems: Element, dialog: HTMLDialogElement) => Promise<boolean>} work whether it is done and the dialog can go
 */
export function confirm({ title, text, yes, no, extra, danger = true }, work) {
  const problems = h("div", { class: "problems" });
  const done = button(yes, { class: `button ${danger ? "danger" : "primary"}`, problems }, async () => {
    if (await work(problems, dialog)) dialog.close();
  });
  const closed = () => {
    dialog.remove();
    // What had the focus before may be gone with the view that it stood in.
    if (document.activeElement === document.body) part("view").querySelector("h1")?.focus();
  };
  /** @type {HTMLDialogElement} */
  const dialog = h(
    "dialog",
    { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text", close: closed },
    h("h2", { id: "dialog-title" }, title),
    h("p", { id: "dialog-text" }, ...[text].flat()),
    extra,
    problems,
    h("div", { class: "actions" }, button(no, { class: "button", autofocus: true }, () => dialog.close()), done),
  );
  document.body.append(dialog);
  dialog.showModal();
}

// --------------------------------------------------------------------------------------------------------- small parts

const HUES = [255, 290, 350, 30, 160, 200];

/**
 * The emblem of a community: its initials, on a colour that follows from its name.
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
 * Fills in the words of what the page's own markup carries in English.
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
