// Runs first, and alone: takes the token out of the address bar before anything else is even loaded.

/** @typedef {{ token: string | null, cut: boolean }} Found */

/** @type {Found} */
let found = { token: null, cut: false };

/**
 * The token of the link that was opened, once; `cut` says that the address carried something that is no whole token. It
 * lives in this module's memory and nowhere else: not in the address, the history, any storage, or a request other than
 * the API's own body.
 * @returns {Found}
 */
export function takeToken() {
  const taken = found;
  found = { token: null, cut: false };
  return taken;
}

/**
 * Finds the token in a pasted link or in what a mail program made of it: broken over lines, its # encoded, something
 * hung on its end. Also the bare token; null where there is none whole.
 * @param {string} text
 * @returns {string | null}
 */
export function tokenIn(text) {
  const plain = text.trim().replace(/%23/g, "#");
  return wholeToken(plain) ?? wholeToken(plain.replace(/\s+/g, ""));
}

/** @param {string} text */
const wholeToken = (text) => /(?:^|#)([\w-]{43})(?![\w-])/.exec(text)?.[1] ?? null;

/** Takes what stands behind the address's #, if anything does. */
function readAddress() {
  const hash = location.hash.slice(1);
  if (!hash) return false;
  found = { token: tokenIn(hash), cut: tokenIn(hash) === null };
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

let opened = () => {};

/**
 * Calls back when another link is put into the address bar of this very tab: browsers do not load the page again then.
 * @param {() => void} callback
 */
export function whenAnotherLinkIsOpened(callback) {
  opened = callback;
}

readAddress();
// Listens from the start: a link that comes while the other modules still load is found by the first `takeToken`.
addEventListener("hashchange", () => {
  if (readAddress()) opened();
});
