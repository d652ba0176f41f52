// Who belongs to a community, in the order of joining.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { h, said, show } from "../page.js";
import { day, t } from "../words.js";
import { head, moreButton, nothingThere } from "./place.js";

/** @typedef {import("../console.js").Scene} Scene */
/** @typedef {import("../operations.js").Membership} Membership */

const PAGE = 50;

/**
 * @param {string} id
 * @param {string | null} after
 */
const read = async (id, after = null) => (await ask(api.MEMBERS, { id, first: PAGE, after })).community;

/** @type {import("../console.js").View} */
export async function members(scene, id = "") {
  const found = await read(id);
  if (scene.left.aborted) return;
  if (!found) return nothingThere(t("community.gone.title"), t("community.gone"));
  const page = found.memberships;
  const row = (/** @type {Membership} */ membership) => member(scene, membership);
  const list = h("ul", { class: "rows" }, page.nodes.map(row));
  const flash = scene.flash();
  const parts = [head(found, "members"), flash, h("h2", null, t("members.title")), list];
  if (page.pageInfo.hasNextPage) parts.push(further(id, list, row, page.pageInfo.endCursor));
  show(parts.filter((part) => part !== null), { title: found.name });
}

/**
 * @param {Scene} scene
 * @param {Membership} membership
 */
function member({ viewer }, { role, joinedAt, member }) {
  const own = member.id === viewer.member.id && h("span", { class: "quiet" }, ` (${t("members.you")})`);
  const address = member.name && member.email ? [said(member.email), " · "] : [];
  return h(
    "li",
    { class: "row" },
    h("span", { class: "email" }, said(member.name ?? member.email ?? t("members.nameless")), own),
    h("span", { class: `badge ${role.toLowerCase()}` }, t(`invite.role.${role}`)),
    h("span", { class: "progress quiet" }, address, t("members.since", { date: day(joinedAt) })),
  );
}

/**
 * @param {string} id
 * @param {HTMLElement} list
 * @param {(membership: Membership) => HTMLElement} row
 * @param {string | null} cursor
 */
const further = (id, list, row, cursor) =>
  moreButton(async () => {
    const page = (await read(id, cursor))?.memberships;
    cursor = page?.pageInfo.endCursor ?? null;
    const items = (page?.nodes ?? []).map(row);
    items[0]?.setAttribute("tabindex", "-1");
    list.append(...items);
    return { first: items[0], count: items.length, more: page?.pageInfo.hasNextPage ?? false };
  });
