// What all views of one community share: its head, its ways, and what is shown where there is none.

import { announce, button, emblem, h, said, show } from "../page.js";
import { t } from "../words.js";

/** @typedef {import("../operations.js").Community} Community */
/** @typedef {import("../operations.js").Role} Role */

/** @type {Role[]} From the lowest to the highest. */
export const ROLES = ["MEMBER", "ADMIN", "OWNER"];

/** @param {Role} role */
export const isAdmin = (role) => ROLES.indexOf(role) >= ROLES.indexOf("ADMIN");

/**
 * @param {Community} community
 * @param {"invitations" | "members"} current
 */
export function head(community, current) {
  const { id, name, viewerRole, memberCount } = community;
  return h(
    "header",
    { class: "place" },
    emblem(name),
    h("div", null, h("h1", null, said(name)), h("p", { class: "quiet", id: "place-facts" }, facts(viewerRole, memberCount))),
    isAdmin(viewerRole) && ways(id, current),
  );
}

/**
 * How many belong to a community, and as what the reader does.
 * @param {Role} role
 * @param {number} memberCount
 */
export function facts(role, memberCount) {
  return [t("members", { count: memberCount }), t("home.role", { role: t(`role.${role}`) })].join(" · ");
}

/**
 * @param {string} id
 * @param {string} current
 */
function ways(id, current) {
  const way = (/** @type {string} */ name, /** @type {string} */ href, /** @type {string} */ words) =>
    h("li", null, h("a", { href, "aria-current": name === current ? "page" : null }, words));
  return h(
    "nav",
    { "aria-label": t("community.views") },
    h(
      "ul",
      { class: "ways" },
      way("invitations", `#/communities/${id}`, t("community.invitations")),
      way("members", `#/communities/${id}/members`, t("community.members")),
    ),
  );
}

/**
 * @param {string} title
 * @param {string} text
 */
export function nothingThere(title, text) {
  const back = h("p", null, h("a", { href: "#/" }, t("home.title")));
  show([h("h1", null, title), h("p", null, text), back], { title });
}

/**
 * The button below a list that has more; it goes when there is no more. The focus goes on to the first of the new ones.
 * @param {() => Promise<{ first: HTMLElement | undefined, count: number, more: boolean }>} load shows the next ones
 */
export function moreButton(load) {
  const problems = h("div", { class: "problems" });
  const press = button(t("more.button"), { problems }, async () => {
    const { first, count, more } = await load();
    if (!more) element.remove();
    first?.focus();
    announce(t("more.done", { count }));
  });
  const element = h("div", { class: "more" }, press, problems);
  return element;
}
