// The parts that all views of a community share: the header, the tabs, and the messages for problems.

import { announce, button, elementById, emblem, h, notice, problemWords, isolated, show } from "../page.js";
import { t } from "../words.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").Community} Community */
/** @typedef {import("../operations.js").Role} Role */

/** @type {Role[]} From the lowest to the highest. */
export const ROLES = ["MEMBER", "ADMIN", "OWNER"];

/** @param {Role} role */
export const isAdmin = (role) => ROLES.indexOf(role) >= ROLES.indexOf("ADMIN");

/** @typedef {"invitations" | "members" | "audit" | "rules"} Tab */

/**
 * @param {Community} community
 * @param {Tab} current
 */
export function header(community, current) {
  const { id, name, viewerRole, memberCount } = community;
  return h(
    "header",
    { class: "community-header" },
    emblem(name),
    h("div", null, h("h1", null, isolated(name)), h("p", { class: "quiet", id: "community-facts" }, facts(viewerRole, memberCount))),
    isAdmin(viewerRole) && tabs(id, current),
  );
}

/**
 * Shows a view of a community below the header.
 * @param {Community} community
 * @param {Tab} current
 * @param {(Node | null | false)[]} parts
 * @param {string} [title] of the view, if it differs from the tab's
 */
export function showCommunityPage(community, current, parts, title = t(`community.${current}`)) {
  const children = [header(community, current), ...parts].filter((part) => part instanceof Node);
  show(children, { title: `${title} · ${community.name}` });
}

/**
 * The number of members and the reader's role.
 * @param {Role} role
 * @param {number} memberCount
 */
export function facts(role, memberCount) {
  return [t("members", { count: memberCount }), t("home.role", { role: t(`role.${role}`) })].join(" · ");
}

/**
 * Shows the present number of members and role in the header.
 * @param {Pick<Community, "viewerRole" | "memberCount">} community
 */
export const showFacts = ({ viewerRole, memberCount }) => void (elementById("community-facts").textContent = facts(viewerRole, memberCount));

/**
 * @param {string} id
 * @param {Tab} current
 */
function tabs(id, current) {
  const tab = (/** @type {Tab} */ name, /** @type {string} */ rest) =>
    h(
      "li",
      null,
      h("a", { href: `#/communities/${id}${rest}`, "aria-current": name === current ? "page" : null }, t(`community.${name}`)),
    );
  return h(
    "nav",
    { "aria-label": t("community.views") },
    h(
      "ul",
      { class: "tabs" },
      tab("invitations", ""),
      tab("members", "/members"),
      tab("audit", "/audit"),
      tab("rules", "/rules"),
    ),
  );
}

/**
 * Handles an answer without a community: shows the sign-in if the session has ended, else a message.
 * @param {ViewContext} context
 * @param {{ viewer: object | null }} answer
 */
export function showMissing(context, { viewer }) {
  return viewer ? showNotFound(t("community.gone.title"), t("community.gone")) : context.endSession();
}

/**
 * Shows a problem next to its cause. If the session has ended, shows the sign-in instead.
 * @param {ViewContext} context
 * @param {import("../api.js").Problem} problem
 * @param {Element} problems
 * @returns {Promise<void> | void}
 */
export function showProblem(context, problem, problems) {
  if (problem.__typename === "NotSignedIn") return context.endSession();
  return problems.replaceChildren(notice("problem", ...problemWords(problem)));
}

/**
 * @param {string} title
 * @param {string} text
 */
export function showNotFound(title, text) {
  const back = h("p", null, h("a", { href: "#/" }, t("home.title")));
  show([h("h1", null, title), h("p", null, text), back], { title });
}

/**
 * The button that loads the next page of a list. It hides after the last page. The first new item gets the focus.
 * @param {() => Promise<{ first: HTMLElement | undefined, count: number, more: boolean }>} load shows the next ones
 */
export function moreButton(load) {
  const problems = h("div", { class: "problems" });
  const press = button(t("more.button"), { problems }, async () => {
    const { first, count, more } = await load();
    element.hidden = !more;
    first?.focus();
    announce(t("more.done", { count }));
  });
  const element = h("div", { class: "more" }, press, problems);
  return element;
}
