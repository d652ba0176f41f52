// Values that a tab keeps while it visits a provider, or until it is loaded again. Other tabs do not see them.

/** @typedef {"acceptance" | "sign-in" | "draft" | "places"} Key */

/** The values of a browser whose storage is missing, forbidden or full. They last until the page is left. */
const memory = new Map();

/** Android WebView gives null without DOM storage. Browsers that block site data throw. */
function storage() {
  try {
    return /** @type {Storage | null} */ (window.sessionStorage);
  } catch {
    return null;
  }
}

/**
 * @param {Key} key
 * @returns {string | null}
 */
export function kept(key) {
  try {
    return storage()?.getItem(key) ?? memory.get(key) ?? null;
  } catch {
    return memory.get(key) ?? null;
  }
}

/**
 * @param {Key} key
 * @param {string} value
 */
export function keep(key, value) {
  memory.set(key, value);
  try {
    storage()?.setItem(key, value);
  } catch {
    // The storage is full or forbidden.
  }
}

/** @param {Key} key */
export function drop(key) {
  memory.delete(key);
  try {
    storage()?.removeItem(key);
  } catch {
    // The storage is forbidden, so it holds no value.
  }
}
