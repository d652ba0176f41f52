// The buttons that lead to a provider, as Google and Microsoft want theirs to look, and everybody else's alike.

import { button, h, problemWords, notice } from "./page.js";
import { t } from "./words.js";

/** @typedef {import("./operations.js").Provider} Provider */

const PATIENCE_MS = 15_000;
const BRANDS = ["google", "microsoft"];

/**
 * The brand whose rules the button follows; the operator's name for the provider tells.
 * @param {Provider} provider
 */
const brandOf = (provider) => BRANDS.find((brand) => provider.id.toLowerCase().startsWith(brand));

/**
 * One button for one provider.
 * @param {Provider} provider
 * @param {{ label?: string, main?: boolean, problems: Element }} how
 * @param {(provider: Provider) => Promise<unknown>} choose
 */
export function providerButton(provider, { label, main = false, problems }, choose) {
  const brand = brandOf(provider);
  const mark = brand ? h("img", { src: new URL(`${brand}.svg`, import.meta.url).href, alt: "", width: 20, height: 20 }) : null;
  const look = brand ? `button provider ${brand}` : `button provider${main ? " primary" : ""}`;
  const words = label ?? t("sign_in_with", { provider: provider.label });
  return button([mark, h("span", null, words)], { class: look, problems, "data-provider": provider.id }, () => choose(provider));
}

/**
 * A button for each provider, in the operator's order, and below them the place for what goes wrong.
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

/**
 * Goes to the provider, or tells beside the buttons why not. Stays busy until the browser has left, or came back, or
 * was stopped on its way.
 * @param {{ __typename: string, authorizationUrl?: string, message?: string, retryAfterSeconds?: number }} answer
 * @param {Element} problems
 */
export async function leaveFor(answer, problems) {
  if (!answer.authorizationUrl) {
    problems.replaceChildren(notice("problem", ...problemWords({ ...answer, message: answer.message ?? "" })));
    return;
  }
  const url = new URL(answer.authorizationUrl);
  if (!["https:", "http:"].includes(url.protocol)) throw new Error("The provider's address is no web address.");
  location.assign(url);
  await new Promise((resolve) => {
    addEventListener("pageshow", resolve, { once: true });
    setTimeout(resolve, PATIENCE_MS);
  });
}
