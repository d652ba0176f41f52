// Signing in, and adding a sign-in: the same buttons, the same road.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { h, show } from "../page.js";
import { leaveFor, providerButtons } from "../providers.js";
import { t } from "../words.js";

/** @typedef {import("../operations.js").Provider} Provider */

/**
 * @param {Provider[]} providers
 * @param {HTMLElement | null} flash
 * @param {string} returnTo
 */
export async function signIn(providers, flash, returnTo) {
  const buttons = providerButtons(providers, async (provider, problems) => {
    const { signIn: answer } = await ask(api.SIGN_IN, { input: { providerId: provider.id, returnTo } });
    return leaveFor(answer, problems);
  });
  const card = h(
    "div",
    { class: "card" },
    h("span", { class: "mark key", "aria-hidden": "true" }),
    h("h1", null, t("sign_in.title")),
    flash,
    h("p", null, t("sign_in.text")),
    buttons,
    h("p", { class: "aside" }, t("sign_in.new"), " ", h("a", { href: "/confirm" }, t("sign_in.new.link"))),
  );
  show([h("div", { class: "narrow" }, card)], { title: t("sign_in.title"), focus: flash !== null });
}

/**
 * The buttons that add a sign-in to one's own account.
 * @param {Provider[]} providers
 * @param {string} returnTo
 */
export function linkButtons(providers, returnTo) {
  const choose = async (/** @type {Provider} */ provider, /** @type {Element} */ problems) => {
    const { linkIdentity: answer } = await ask(api.LINK_IDENTITY, { input: { providerId: provider.id, returnTo } });
    return leaveFor(answer, problems);
  };
  return providerButtons(providers, choose, { main: false });
}
