// The member whom the page shows. Another tab may sign in as another member, and the browser's cookie is then theirs. Every
// request names the member that the page shows, and every response the member of the session.

const HEADER = "guestlist-viewer";
const NO_MEMBER = "none";

/** @type {string | null} */
let shown = null;
let hasChanged = false;

/** @param {string | null} memberId the member of the page from now on; null while the page shows no member */
export function setViewer(memberId) {
  shown = memberId;
  hasChanged = false;
}

/** @returns {Record<string, string>} The service runs no operation that names another member than the session's. */
export const viewerHeader = () => (shown ? { [HEADER]: shown } : {});

/**
 * Dispatches `viewerchanged` on the window when the session belongs to another member than the page shows. Requests name the
 * earlier member until the page shows the other one, so its buttons do nothing in between.
 * @param {Response} response
 */
export function checkViewer(response) {
  const member = response.headers.get(HEADER);
  if (hasChanged || !shown || !member || member === NO_MEMBER || member === shown) return;
  hasChanged = true;
  dispatchEvent(new Event("viewerchanged"));
}
