// What all views of one community share: its head, its ways, and what is shown where there is none.

import { announce, button, emblem, h, notice, problemWords, said, show } from "../page.js";
import { t } from "../words.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").Community} Community */
/** @typedef {import("../operations.js").Role} Role */

/** @type {Role[]} From the lowest to the highest. */
export const ROLES = ["MEMBER", "ADMIN", "OWNER"];

/** @param {Role} role */
export const isAdmin = (role) => ROLES.indexOf(role) >= ROLES.indexOf("ADMIN");

/** @typedef {"invitations" | "members" | "audit" | "rules"} Way */

/**
 * @param {Community} community
 * @param {Way} current
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
 * Shows one of the views of a community, under its head.
 * @param {Community} community
 * @param {Way} current
 * @param {(Node | null | false)[]} parts
 * @param {string} [title] of what is shown, where it is not the whole view
 */
export function showPlace(community, current, parts, title = t(`community.${current}`)) {
  const shown = [head(community, current), ...parts].filter((part) => part instanceof Node);
  show(shown, { title: `${title} · ${community.name}` });
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
 * @param {Way} current
 */
function ways(id, current) {
  const way = (/** @type {Way} */ name, /** @type {string} */ rest) =>
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
      { class: "ways" },
      way("invitations", ""),
      way("members", "/members"),
      way("audit", "/audit"),
      way("rules", "/rules"),
    ),
  );
}

/**
 * Where there is nothing: because the session has ended meanwhile, or because there is no such thing for this reader.
 * @param {ViewContext} context
 * @param {{ viewer: object | null }} answer
 */
export function gone(context, { viewer }) {
  return viewer ? nothingThere(t("community.gone.title"), t("community.gone")) : context.signedOut();
}

/**
 * Tells a refusal next to what caused it; a session that has ended leads to the sign-in and back.
 * @param {ViewContext} context
 * @param {import("../api.js").Problem} problem
 * @param {Element} problems
 * @returns {Promise<void> | void}
 */
export function refused(context, problem, problems) {
  if (problem.__typename === "NotSignedIn") return context.signedOut();
  return problems.replaceChildren(notice("problem", ...problemWords(problem)));
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
    element.hidden = !more;
    first?.focus();
    announce(t("more.done", { count }));
  });
  const element = h("div", { class: "more" }, press, problems);
  return element;
}
