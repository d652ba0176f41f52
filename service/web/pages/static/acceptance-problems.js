// Views of sign-ins that did not accept the invitation. The link still works; each view shows the reason and the next step.

import { button, card, h, notice, paragraph, isolated, serviceText } from "./page.js";
import { providerButtons } from "./providers.js";
import { rich, t } from "./words.js";

/** @typedef {import("./operations.js").Acceptance} Acceptance */
/** @typedef {import("./operations.js").Provider} Provider */
/** @typedef {import("./page.js").Child} Child */

/**
 * The actions after a problem.
 * @typedef {object} Retry
 * @property {Provider[]} providers
 * @property {(provider: Provider, problems: Element) => Promise<unknown>} accept
 * @property {(problems: Element) => Promise<unknown>} requestOtherAddress asks the admins to invite the address of the sign-in
 * @property {(() => void) | null} decline
 */

/**
 * The texts of a problem and the label of its main button.
 * @typedef {object} ProblemView
 * @property {string} title
 * @property {Child | Child[]} text
 * @property {(provider: Provider) => string} [again]
 * @property {(Child | Child[])[]} [help]
 * @property {"same" | "others"} [only] the providers that can help: the same one, or the others
 */

/** @type {Record<string, (acceptance: Acceptance, retry: Retry) => ProblemView>} */
const PROBLEMS = {
  EMAIL_MISMATCH: (acceptance, retry) => ({
    title: t("mismatch.title"),
    text: rich("mismatch.text", addresses(acceptance)),
    again: () => t("mismatch.button"),
    help: [...sameAgainHelp(acceptance), ...otherAddressHelp(acceptance, retry)],
  }),
  EMAIL_NOT_VERIFIED: (acceptance) => ({
    title: t("unverified.title"),
    text: serviceText(acceptance.message),
    again: () => t("mismatch.button"),
    help: sameAgainHelp(acceptance),
  }),
  IDENTITY_CONFLICT: (acceptance) => CONFLICTS[acceptance.reason ?? ""]?.(acceptance) ?? {
    title: t("conflict.title"),
    text: t("conflict.text"),
    only: "others",
    help: [useBothHelp(acceptance)],
  },
  SEAT_LIMIT_REACHED: ({ communityName }) => ({
    title: t("seats.title"),
    text: rich("seats.text", { community: isolated(communityName) }),
    again: () => t("again"),
    only: "same",
  }),
  NOT_ALLOWED: (acceptance) => ({
    title: t("not_allowed.title"),
    text: serviceText(acceptance.message),
    again: () => t("again"),
    only: "same",
  }),
  SIGN_IN_FAILED: (acceptance) => ({
    title: t("failed_sign_in.title"),
    text: serviceText(acceptance.message),
    again: ({ label }) => t("failed_sign_in.button", { provider: label }),
  }),
};

/** @type {Record<string, (acceptance: Acceptance) => ProblemView>} */
const CONFLICTS = {
  identity_in_use: (acceptance) => ({ title: t("conflict.title"), text: serviceText(acceptance.message), only: "others" }),
  account_released: (acceptance) => ({
    title: t("released.title"),
    text: serviceText(acceptance.message),
    again: () => t("again"),
    only: "same",
  }),
};

/**
 * Help where a provider ignores the request for a login, and returns people at once as the account of its session.
 * @param {Acceptance} acceptance
 */
function sameAgainHelp({ provider }) {
  return provider ? [h("p", { class: "aside" }, t("mismatch.same_again", { provider: provider.label }))] : [];
}

/** @param {Acceptance} acceptance */
function useBothHelp({ provider }) {
  const account = h("a", { href: "/#/account" }, t("conflict.link.button"));
  return h("p", { class: "aside" }, t("conflict.link", { provider: provider?.label ?? "" }), " ", account);
}

/** @param {Acceptance} acceptance */
function addresses({ signedInEmail, maskedEmail }) {
  const signedIn = signedInEmail ? h("strong", null, isolated(signedInEmail)) : t("mismatch.no_address");
  return { signedIn, invited: h("strong", null, isolated(maskedEmail)) };
}

/**
 * Help for people who no longer have the invited address: the admins can invite the address of the sign-in.
 * @param {Acceptance} acceptance
 * @param {Retry} retry
 * @returns {(Child | Child[])[]}
 */
function otherAddressHelp(acceptance, { requestOtherAddress }) {
  const { signedInEmail, canRequestOtherAddress, otherAddressRequested } = acceptance;
  if (!signedInEmail) return [];
  if (otherAddressRequested) return [notice("done", rich("other.asked", { ...addresses(acceptance), ...community(acceptance) }))];
  const question = h("p", { class: "other" }, rich("other.cannot", addresses(acceptance)));
  if (!canRequestOtherAddress) return [question, paragraph(rich("other.ask_yourself", addresses(acceptance)))];
  const problems = h("div", { class: "problems" });
  const label = h("span", null, rich("other.button", { signedIn: isolated(signedInEmail) }));
  const ask = button([label], { class: "button", problems }, () => requestOtherAddress(problems));
  return [question, h("div", { class: "actions" }, ask, problems), h("p", { class: "aside" }, rich("other.hint", community(acceptance)))];
}

/**
 * The notice that the admins keep an earlier request for another address. The history shows the new one.
 * @param {Acceptance} acceptance
 */
export const otherRequestStays = (acceptance) => notice("done", rich("other.another", { ...addresses(acceptance), ...community(acceptance) }));

/** @param {Acceptance} acceptance */
const community = ({ communityName }) => ({ community: isolated(communityName) });

/**
 * Shows a problem after which the same link can be tried again in this browser.
 * @param {Acceptance} acceptance
 * @param {Retry} retry
 */
export function showAcceptanceProblem(acceptance, retry) {
  const problem = PROBLEMS[acceptance.status]?.(acceptance, retry) ?? { title: t("outcome.title"), text: serviceText(acceptance.message) };
  const same = retry.providers.filter(({ id }) => id === acceptance.provider?.id);
  const others = retry.providers.filter(({ id }) => id !== acceptance.provider?.id);
  const first = same.length === 0 || (problem.only === "others" && others.length > 0) ? others : same;
  const rest = problem.only ? [] : retry.providers.filter((provider) => !first.includes(provider));
  card(problem.title, [
    paragraph(problem.text),
    providerButtons(first, retry.accept, { label: first === same ? problem.again : undefined }),
    rest.length > 0 && [h("p", { class: "or" }, t("outcome.other")), providerButtons(rest, retry.accept, { main: false })],
    problem.help,
    retry.decline && h("div", { class: "quiet-actions" }, button(t("offer.decline"), { class: "link" }, retry.decline)),
  ].flat(), { tone: "warn" });
}
