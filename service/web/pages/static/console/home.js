// The reader's communities, and the form for a new one where the operator allows it.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { button, emblem, field, h, problemWords, isolated, show, onSubmit } from "../page.js";
import { t } from "../words.js";
import { facts, showProblem } from "./community-page.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").OwnMembership} OwnMembership */

const MANY = 12;

/** @type {import("../console.js").View} */
export async function home(context) {
  const { memberships, mayCreateCommunities } = context.viewer;
  const parts = [
    h("h1", null, t("home.title")),
    context.takeFlash(),
    ...communities(memberships),
    mayCreateCommunities && createForm(context),
  ];
  show(
    parts.filter((node) => node instanceof Node),
    { title: t("home.title") },
  );
}

/** @param {OwnMembership[]} memberships */
function communities(memberships) {
  if (memberships.length === 0)
    return [h("div", { class: "empty" }, h("h2", null, t("home.empty.title")), h("p", null, t("home.empty")))];
  const tiles = memberships.map((membership) => ({ name: membership.community.name.toLowerCase(), element: tile(membership) }));
  const list = h(
    "ul",
    { class: "tiles" },
    tiles.map(({ element }) => element),
  );
  return memberships.length > MANY ? [search(tiles), list] : [list];
}

/** @param {{ name: string, element: HTMLElement }[]} tiles */
function search(tiles) {
  const input = h("input", {
    type: "search",
    placeholder: t("home.search"),
    "aria-label": t("home.search"),
    autocomplete: "off",
  });
  const none = h("p", { class: "quiet", role: "status" });
  input.addEventListener("input", () => {
    const part = input.value.trim().toLowerCase();
    for (const { name, element } of tiles) element.hidden = !name.includes(part);
    none.textContent = tiles.every(({ element }) => element.hidden) ? t("home.search.none") : "";
  });
  return h("search", null, input, none);
}

/** @param {OwnMembership} membership */
function tile({ role, community }) {
  return h(
    "li",
    null,
    h(
      "a",
      { class: "tile", href: `#/communities/${community.id}` },
      emblem(community.name),
      h("span", null, h("strong", null, isolated(community.name)), h("span", { class: "quiet" }, facts(role, community.memberCount))),
    ),
  );
}

/** @param {ViewContext} context */
function createForm(context) {
  const problems = h("div", { class: "problems" });
  const name = field(h("input", { type: "text", name: "name", maxlength: "100", autocomplete: "off" }), t("create.label"));
  const submit = button(t("create.button"), { type: "submit" }, null);
  const form = h("form", { class: "inline-form" }, name.element, submit, problems);
  onSubmit(form, submit, problems, async () => {
    name.setError(null);
    const { createCommunity: answer } = await ask(api.CREATE_COMMUNITY, { input: { name: name.control.value } });
    if ("community" in answer) return openCreated(context, answer.community);
    if (answer.__typename === "InvalidInput") return name.setError(problemWords(answer));
    return showProblem(context, answer, problems);
  });
  return h("section", { class: "panel" }, h("h2", null, t("create.title")), h("p", { class: "quiet" }, t("create.text")), form);
}

/**
 * @param {ViewContext} context
 * @param {{ id: string, name: string }} community
 */
async function openCreated(context, { id, name }) {
  location.hash = `/communities/${id}`;
  await context.reload({ kind: "done", text: t("create.done", { community: name }) });
}
