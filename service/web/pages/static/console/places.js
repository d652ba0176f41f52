// Places in the history. Back returns to the row that was opened, at its scroll position, with as many rows as were loaded.
//
// Each entry of the history has an id in its state. The browser cannot restore the position itself: the rows load later.

import { drop, keep, kept } from "../tab.js";

const MOST_PLACES = 50;
const MOST_ROWS = 1000;

/**
 * @typedef {object} Place
 * @property {number} top the scroll position
 * @property {number} rows the number of loaded rows
 * @property {{ href: string, index: number, top: number } | null} link the followed link, and its position in the window
 */

/** @type {Map<string, Place>} By the id of the entry, the newest last. */
const places = new Map(restorePlaces());
/** The entry whose view is shown; null while a view loads. @type {string | null} */
let shown = null;
/** The address of the entry that was shown last. */
let lastHash = "";
/** @type {Place["link"]} */
let followed = null;

/** @returns {[string, Place][]} */
function restorePlaces() {
  const text = kept("places");
  drop("places");
  return text ? JSON.parse(text) : [];
}

/** @param {string} href */
function linksTo(href) {
  /** @type {NodeListOf<HTMLAnchorElement>} */
  const links = document.querySelectorAll("#view a");
  return [...links].filter((link) => link.getAttribute("href") === href);
}

/** Remembers the place of the shown view before another one replaces it. */
export function leavePlace() {
  if (shown === null) return;
  const link = followed?.href === location.hash ? followed : null;
  const rows = document.querySelectorAll("#view .rows > li").length;
  places.delete(shown);
  places.set(shown, { top: scrollY, rows: Math.min(rows, MOST_ROWS), link });
  shown = followed = null;
}

/**
 * The place of the entry that the browser went to; undefined for a new one.
 * @returns {Place | undefined}
 */
export function findPlace() {
  const { place = null, from = lastHash } = history.state ?? {};
  if (place === null) history.replaceState({ ...history.state, place: newId(), from }, "");
  lastHash = location.hash;
  return places.get(place);
}

const newId = () => `${Date.now()}.${Math.floor(Math.random() * 1e9)}`;

/**
 * Returns to a place, after its view was shown. A view without a place stays at its top.
 * @param {Place} [place]
 */
export function arrive(place) {
  shown = history.state?.place ?? null;
  if (!place) return;
  const link = place.link && linksTo(place.link.href)[place.link.index];
  link?.focus({ preventScroll: true });
  scrollTo({ top: place.link && link ? scrollY + link.getBoundingClientRect().top - place.link.top : place.top });
}

/** Forgets the place of the shown view: it is loaded again, from its top. */
export function forgetPlace() {
  if (shown !== null) places.delete(shown);
  shown = null;
}

/**
 * Whether the reader came from a view, so that Back returns there.
 * @param {string} href the view's address without its filter
 */
export const cameFrom = (href) => history.state?.from?.split("?")[0] === href;

/** Begins to remember places. */
export function rememberPlaces() {
  history.scrollRestoration = "manual";
  const remember = (/** @type {MouseEvent} */ { target }) => {
    const link = target instanceof Element ? target.closest("#view a") : null;
    const href = link?.getAttribute("href");
    if (!link || !href) return;
    followed = { href, index: linksTo(href).findIndex((other) => other === link), top: link.getBoundingClientRect().top };
  };
  document.addEventListener("click", remember, { capture: true });
  addEventListener("pagehide", () => {
    const place = shown;
    leavePlace();
    shown = place;
    keep("places", JSON.stringify([...places].slice(-MOST_PLACES)));
  });
}
