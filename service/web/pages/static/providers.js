// The sign-in buttons of providers. Those of Google and Microsoft follow the brands' rules.

import { button, h, problemWords, notice } from "./page.js";
import { drop, keep, kept } from "./tab.js";
import { t } from "./words.js";

/** @typedef {import("./operations.js").Provider} Provider */

const PATIENCE_MS = 15_000;
const BRANDS = ["Google", "Microsoft"];

/**
 * The brand whose rules the button follows. Both brands allow their logo and colours only with the words "Sign in with"
 * and their name, so other labels use our own style.
 * @param {Provider} provider
 * @param {string | undefined} label
 */
const brandOf = (provider, label) => (label ? undefined : BRANDS.find((brand) => brand === provider.label)?.toLowerCase());

/** @param {string | undefined} brand */
function markOf(brand) {
  if (!brand) return h("span", { class: "icon key", "aria-hidden": "true" });
  return h("img", { src: new URL(`${brand}.svg`, import.meta.url).href, alt: "", width: 20, height: 20 });
}

/**
 * The button of one provider.
 * @param {Provider} provider
 * @param {{ label?: string, main?: boolean, problems: Element }} how
 * @param {(provider: Provider) => Promise<unknown>} choose
 */
export function providerButton(provider, { label, main = false, problems }, choose) {
  const brand = brandOf(provider, label);
  const mark = label ? null : markOf(brand);
  const className = brand ? `button provider ${brand}` : `button provider${main ? " primary" : ""}`;
  const text = label ?? t("sign_in_with", { provider: provider.label });
  return button([mark, h("span", null, text)], { class: className, problems, "data-provider": provider.id }, () => choose(provider));
}

/**
 * The buttons of providers in the operator's order, with an element for problems below them.
 * @param {Provider[]} providers
 * @param {(provider: Provider, problems: Element) => Promise<unknown>} choose
 * @param {{ label?: (provider: Provider) => string, main?: boolean }} [how]
 */
export function providerButtons(providers, choose, { label, main = true } = {}) {
  const problems = h("div", { class: "problems" });
  const buttons = providers.map((provider) =>
    providerButton(provider, { label: label?.(provider), main: main && providers.length === 1, problems }, (chosen) =>
      choose(chosen, problems),
    ),
  );
  return h("div", { class: "providers" }, ...buttons, problems);
}

/** Returns the id of the sign-in that this tab began last, once. */
export function takeSignIn() {
  const id = kept("sign-in");
  drop("sign-in");
  return id;
}

/**
 * Goes to the provider, or shows the problem. Resolves when the browser comes back or the navigation was stopped.
 * @param {{ __typename: string, authorizationUrl?: string, signInId?: string, message?: string, retryAfterSeconds?: number }} answer
 * @param {Element} problems
 */
export async function goToProvider(answer, problems) {
  if (!answer.authorizationUrl) {
    problems.replaceChildren(notice("problem", ...problemWords({ ...answer, message: answer.message ?? "" })));
    return;
  }
  const url = new URL(answer.authorizationUrl);
  if (!["https:", "http:"].includes(url.protocol)) throw new Error("The provider's address is no web address.");
  if (answer.signInId) keep("sign-in", answer.signInId);
  location.assign(url);
  await new Promise((resolve) => {
    addEventListener("pageshow", resolve, { once: true });
    setTimeout(resolve, PATIENCE_MS);
  });
}
