// The sign-in view, and the buttons to sign in again and to add a sign-in.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { keepsCookies } from "../cookies.js";
import { h, isolated, notice, problemWords, show } from "../page.js";
import { goToProvider, providerButtons } from "../providers.js";
import { rich, t } from "../words.js";

/** @typedef {import("../operations.js").Provider} Provider */

/**
 * @param {Provider[]} providers
 * @param {HTMLElement | null} flash
 * @param {string} returnTo
 */
export async function signIn(providers, flash, returnTo) {
  const buttons = providerButtons(providers, async (provider, problems) => {
    const { signIn: answer } = await ask(api.SIGN_IN, { input: { providerId: provider.id, returnTo } });
    return goToProvider(answer, problems);
  });
  const cookiesOff = () => notice("problem", rich("cookies.text", { host: h("strong", null, isolated(location.host)) }));
  const card = h(
    "div",
    { class: "card" },
    h("span", { class: "mark key", "aria-hidden": "true" }),
    h("h1", null, t("sign_in.title")),
    flash,
    h("p", null, t("sign_in.text")),
    keepsCookies() ? buttons : cookiesOff(),
    h("p", { class: "aside" }, t("sign_in.new"), " ", h("a", { href: "/confirm" }, t("sign_in.new.link"))),
  );
  show([h("div", { class: "narrow" }, card)], { title: t("sign_in.title"), focus: flash !== null });
}

/**
 * The buttons that add a sign-in to the account.
 * @param {Provider[]} providers
 * @param {Provider[]} ownProviders the providers of the account's present sign-ins
 * @param {string} memberId the member whose account the page shows
 * @param {string} returnTo
 */
export function linkButtons(providers, ownProviders, memberId, returnTo) {
  const choose = async (/** @type {Provider} */ provider, /** @type {Element} */ problems) => {
    const input = { providerId: provider.id, memberId, returnTo };
    const { linkIdentity: answer } = await ask(api.LINK_IDENTITY, { input });
    if (answer.__typename !== "FreshSignInRequired") return goToProvider(answer, problems);
    return problems.replaceChildren(signInAgain(answer, ownProviders, returnTo));
  };
  return providerButtons(providers, choose, { main: false });
}

/**
 * Asks for a fresh sign-in with one of the account's providers, before an action that changes access to the account.
 * @param {import("../api.js").Problem} problem
 * @param {Provider[]} ownProviders
 * @param {string} returnTo
 */
export function signInAgain(problem, ownProviders, returnTo) {
  const choose = async (/** @type {Provider} */ provider, /** @type {Element} */ problems) => {
    const { signIn: answer } = await ask(api.SIGN_IN, { input: { providerId: provider.id, returnTo } });
    return goToProvider(answer, problems);
  };
  const label = (/** @type {Provider} */ { label }) => t("sign_in.again.button", { provider: label });
  return h("div", { class: "again" }, notice("problem", ...problemWords(problem)), providerButtons(ownProviders, choose, { main: false, label }));
}

/**
 * The providers of an account's sign-ins, each once.
 * @param {import("../operations.js").Identity[]} identities
 * @returns {Provider[]}
 */
export function providersOf(identities) {
  const found = identities.flatMap(({ provider }) => (provider ? [provider] : []));
  return [...new Map(found.map((provider) => [provider.id, provider])).values()];
}
