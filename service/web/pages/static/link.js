// Runs before every other module: removes the token from the address bar.

/** @typedef {{ token: string | null, cut: boolean }} Link */

/** @type {Link} */
let link = { token: null, cut: false };

/** The token that a reload needs, because no sign-in is bound to it yet. @type {string | null} */
let unused = null;

/**
 * Returns the token of the opened link once. `cut` is true for an incomplete token. The token exists only in this
 * module's memory and in the bodies of API requests: never in the address, the history or a storage.
 * @returns {Link}
 */
export function takeToken() {
  const taken = link;
  link = { token: null, cut: false };
  return taken;
}

/**
 * Sets the token that a reload after a failure needs; null when the page needs none.
 * @param {string | null} token
 */
export function keepForReload(token) {
  unused = token;
}

/** Writes the kept token back into the address, so that the page finds it after a reload. */
export function restoreAddress() {
  if (!unused) return;
  link = { token: unused, cut: false };
  history.replaceState(null, "", `${location.pathname}${location.search}#${unused}`);
}

/**
 * Finds the token in a pasted link, also when a mail program broke its lines, encoded its #, replaced it by a slash or
 * appended text. Also accepts a bare token. Returns null for an incomplete one.
 * @param {string} text
 * @returns {string | null}
 */
export function tokenIn(text) {
  const plain = text.trim().replace(/%(?:25)*23/g, "#");
  return wholeToken(plain) ?? wholeToken(plain.replace(/\s+/g, ""));
}

/** @param {string} text */
const wholeToken = (text) => /(?:^|#|\/confirm\/+)([\w-]{43})(?![\w-])/i.exec(text)?.[1] ?? null;

/** Removes the fragment from the address and keeps its token. Returns false without a link. */
function readAddress() {
  const hash = location.hash.slice(1);
  // A click tracker that adds parameters after an encoded # moves the token into the query.
  const query = hash ? null : tokenIn(location.search);
  if (!hash && !query) return false;
  const token = query ?? tokenIn(hash);
  link = { token, cut: token === null };
  unused = token;
  history.replaceState(null, "", location.pathname + (query ? "" : location.search));
  return true;
}

let onChange = () => {};

/**
 * Calls back when another link is opened in this tab. Browsers do not reload the page for a changed fragment.
 * @param {() => void} callback
 */
export function onLinkChange(callback) {
  onChange = callback;
}

// A browser that cannot run the page shows a notice. The address keeps the link, for another browser.
if (!document.documentElement.classList.contains("old-engine")) readAddress();
addEventListener("beforefailure", restoreAddress);
// Registered early: the first `takeToken` finds a link that is opened while other modules load.
addEventListener("hashchange", () => {
  if (readAddress()) onChange();
});
