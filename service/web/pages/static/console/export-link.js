// The link that downloads the rows of a list, as its filter selects them.

import { h } from "../page.js";
import { t } from "../words.js";

/**
 * @param {string} communityId
 * @param {"invitations" | "audit"} what
 * @param {object} filter as input of the API: the export takes the same names and values
 */
export function exportLink(communityId, what, filter) {
  const element = h("a", { class: "link", download: `${what}.csv` }, t("export"));
  const follow = (/** @type {object} */ filter) => void (element.href = address(communityId, what, filter));
  follow(filter);
  return { element, follow };
}

/**
 * @param {string} communityId
 * @param {string} what
 * @param {object} filter
 */
function address(communityId, what, filter) {
  const values = Object.entries(filter).flatMap(([name, value]) => [value].flat().map((each) => [name, each]));
  const query = new URLSearchParams(values).toString();
  return `/export/${communityId}/${what}.csv${query && `?${query}`}`;
}
