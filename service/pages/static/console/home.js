// My communities; and, where the operator lets members do so, a new one.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { button, emblem, field, h, notice, problemWords, said, show, whenSubmitted } from "../page.js";
import { t } from "../words.js";
import { facts } from "./place.js";

/** @typedef {import("../console.js").Scene} Scene */
/** @typedef {import("../operations.js").OwnMembership} OwnMembership */

/** @type {import("../console.js").View} */
export async function home(scene) {
  const { memberships } = scene.viewer;
  const creating = h("div");
  show([h("h1", null, t("home.title")), scene.flash(), communities(memberships), creating].filter((node) => node !== null), {
    title: t("home.title"),
  });
  if ((await mayCreate()) && !scene.left.aborted) creating.replaceChildren(creation(scene));
}

/** @param {OwnMembership[]} memberships */
function communities(memberships) {
  if (memberships.length > 0) return h("ul", { class: "tiles" }, memberships.map(tile));
  return h("div", { class: "empty" }, h("h2", null, t("home.empty.title")), h("p", null, t("home.empty")));
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
      h("span", null, h("strong", null, said(community.name)), h("span", { class: "quiet" }, facts(role, community.memberCount))),
    ),
  );
}

/** @type {boolean | undefined} */
let allowed;

/**
 * Whether members may create communities. The API has no field for it, but tells a caller who may not so before it looks
 * at the name; and an empty name creates nothing.
 */
async function mayCreate() {
  allowed ??= (await ask(api.CREATE_COMMUNITY, { input: { name: "" } })).createCommunity.__typename === "InvalidInput";
  return allowed;
}

/** @param {Scene} scene */
function creation(scene) {
  const problems = h("div", { class: "problems" });
  const name = field(h("input", { type: "text", maxlength: "100", autocomplete: "off" }), t("create.label"));
  const submit = button(t("create.button"), { type: "submit" }, null);
  const form = h("form", { class: "inline-form" }, name.element, submit, problems);
  whenSubmitted(form, submit, problems, async () => {
    name.wrong(null);
    const { createCommunity: answer } = await ask(api.CREATE_COMMUNITY, { input: { name: name.control.value } });
    if ("community" in answer) return created(scene, answer.community);
    if (answer.__typename === "InvalidInput") return name.wrong(problemWords(answer));
    if (answer.__typename === "NotSignedIn") return scene.again({ kind: "note", text: t("sign_in.ended") });
    return problems.replaceChildren(notice("problem", ...problemWords(answer)));
  });
  return h("section", { class: "panel" }, h("h2", null, t("create.title")), h("p", { class: "quiet" }, t("create.text")), form);
}

/**
 * @param {Scene} scene
 * @param {{ id: string, name: string }} community
 */
async function created(scene, { id, name }) {
  location.hash = `/communities/${id}`;
  await scene.again({ kind: "done", text: t("create.done", { community: name }) });
}
