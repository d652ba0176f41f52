// The reader's communities, and the form for a new one where the operator allows it.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { button, emblem, field, h, problemWords, isolated, show, onSubmit } from "../page.js";
import { t } from "../words.js";
import { facts, showProblem } from "./community-page.js";
import { Rows } from "./paged-list.js";
import { onVisible } from "./visible.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").OwnMembership} OwnMembership */

const MANY = 12;

/** @type {import("../console.js").View} */
export async function home(context) {
  const { memberships, mayCreateCommunities } = context.viewer;
  const list = communities(memberships);
  const parts = [h("h1", null, t("home.title")), context.takeFlash(), ...list.parts, mayCreateCommunities && createForm(context)];
  show(
    parts.filter((node) => node instanceof Node),
    { title: t("home.title") },
  );
  onVisible(context.signal, async (signal) => {
    const { viewer } = await ask(api.OWN_COMMUNITIES, {}, { signal });
    if (!viewer) return context.endSession();
    // The other views read the memberships here, too.
    context.viewer.memberships = viewer.memberships;
    list.show(viewer.memberships);
  });
}

/** @param {OwnMembership[]} memberships */
function communities(memberships) {
  const empty = h("div", { class: "empty" }, h("h2", null, t("home.empty.title")), h("p", null, t("home.empty")));
  const tiles = new Rows(h("ul", { class: "tiles" }), tile, memberships);
  const search = searchOf(tiles.element);
  const fit = (/** @type {number} */ count) => {
    empty.hidden = count > 0;
    tiles.element.hidden = count === 0;
    search.element.hidden = count <= MANY;
    search.apply();
  };
  fit(memberships.length);
  const show = (/** @type {OwnMembership[]} */ fresh) => {
    tiles.replace(fresh);
    fit(fresh.length);
  };
  return { parts: [empty, search.element, tiles.element], show };
}

/**
 * The field that hides the tiles without a part of a name.
 * @param {HTMLElement} tiles
 */
function searchOf(tiles) {
  const input = h("input", {
    type: "search",
    placeholder: t("home.search"),
    "aria-label": t("home.search"),
    autocomplete: "off",
  });
  const none = h("p", { class: "quiet", role: "status" });
  const element = h("search", null, input, none);
  const apply = () => {
    const part = element.hidden ? "" : input.value.trim().toLowerCase();
    const found = /** @type {HTMLElement[]} */ ([...tiles.children]);
    for (const tile of found) tile.hidden = !(tile.querySelector("strong")?.textContent ?? "").toLowerCase().includes(part);
    none.textContent = part && found.every(({ hidden }) => hidden) ? t("home.search.none") : "";
  };
  input.addEventListener("input", apply);
  return { element, apply };
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
