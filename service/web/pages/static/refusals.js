// A sign-in that came back and let nobody in. It consumed nothing: each says what happened, and the way on.

import { button, card, h, notice, paragraph, said, serviceText } from "./page.js";
import { providerButtons } from "./providers.js";
import { rich, t } from "./words.js";

/** @typedef {import("./operations.js").Acceptance} Acceptance */
/** @typedef {import("./operations.js").Provider} Provider */
/** @typedef {import("./page.js").Child} Child */

/**
 * What can be done about a refusal.
 * @typedef {object} Retry
 * @property {Provider[]} providers
 * @property {(provider: Provider, problems: Element) => Promise<unknown>} accept
 * @property {(problems: Element) => Promise<unknown>} askForOther asks the admins to invite the address that was proved
 * @property {(() => void) | null} decline
 */

/**
 * What a refusal is called, what is told of it, and how the main way on is worded.
 * @typedef {object} Refusal
 * @property {string} title
 * @property {Child | Child[]} told
 * @property {(provider: Provider) => string} [again]
 * @property {(Child | Child[])[]} [help]
 * @property {"same" | "others"} [only] which providers can help at all, where not all of them can
 */

/** @type {Record<string, (acceptance: Acceptance, retry: Retry) => Refusal>} */
const REFUSALS = {
  EMAIL_MISMATCH: (acceptance, retry) => ({
    title: t("mismatch.title"),
    told: rich("mismatch.text", addresses(acceptance)),
    again: () => t("mismatch.button"),
    help: otherAddress(acceptance, retry),
  }),
  EMAIL_NOT_VERIFIED: (acceptance) => ({
    title: t("unverified.title"),
    told: serviceText(acceptance.message),
    again: () => t("mismatch.button"),
  }),
  IDENTITY_CONFLICT: (acceptance) => CONFLICTS[acceptance.reason ?? ""]?.(acceptance) ?? {
    title: t("conflict.title"),
    told: t("conflict.text"),
    only: "others",
    help: [useBoth(acceptance)],
  },
  SEAT_LIMIT_REACHED: ({ communityName }) => ({
    title: t("seats.title"),
    told: rich("seats.text", { community: said(communityName) }),
    again: () => t("again"),
    only: "same",
  }),
  NOT_ALLOWED: (acceptance) => ({
    title: t("not_allowed.title"),
    told: serviceText(acceptance.message),
    again: () => t("again"),
    only: "same",
  }),
  SIGN_IN_FAILED: (acceptance) => ({
    title: t("failed_sign_in.title"),
    told: serviceText(acceptance.message),
    again: ({ label }) => t("failed_sign_in.button", { provider: label }),
  }),
};

/** @type {Record<string, (acceptance: Acceptance) => Refusal>} */
const CONFLICTS = {
  identity_in_use: (acceptance) => ({ title: t("conflict.title"), told: serviceText(acceptance.message), only: "others" }),
  account_released: (acceptance) => ({
    title: t("released.title"),
    told: serviceText(acceptance.message),
    again: () => t("again"),
    only: "same",
  }),
};

/** @param {Acceptance} acceptance */
function useBoth({ provider }) {
  const account = h("a", { href: "/#/account" }, t("conflict.link.button"));
  return h("p", { class: "aside" }, t("conflict.link", { provider: provider?.label ?? "" }), " ", account);
}

/** @param {Acceptance} acceptance */
function addresses({ signedInEmail, maskedEmail }) {
  const signedIn = signedInEmail ? h("strong", null, said(signedInEmail)) : t("mismatch.no_address");
  return { signedIn, invited: h("strong", null, said(maskedEmail)) };
}

/**
 * For whom the invited address is no longer theirs: the admins can invite the one that was proved just now.
 * @param {Acceptance} acceptance
 * @param {Retry} retry
 * @returns {(Child | Child[])[]}
 */
function otherAddress(acceptance, { askForOther }) {
  const { signedInEmail, canRequestOtherAddress, otherAddressRequested } = acceptance;
  if (!signedInEmail) return [];
  if (otherAddressRequested) return [notice("done", rich("other.asked", { ...addresses(acceptance), ...place(acceptance) }))];
  const cannot = h("p", { class: "other" }, rich("other.cannot", addresses(acceptance)));
  if (!canRequestOtherAddress) return [cannot, paragraph(rich("other.ask_yourself", addresses(acceptance)))];
  const problems = h("div", { class: "problems" });
  const label = h("span", null, rich("other.button", { signedIn: said(signedInEmail) }));
  const ask = button([label], { class: "button", problems }, () => askForOther(problems));
  return [cannot, h("div", { class: "actions" }, ask, problems), h("p", { class: "aside" }, rich("other.hint", place(acceptance)))];
}

/**
 * The admins have a request for another address already, which stays; this one stands in the invitation's history.
 * @param {Acceptance} acceptance
 */
export const anotherAsked = (acceptance) => notice("done", rich("other.another", { ...addresses(acceptance), ...place(acceptance) }));

/** @param {Acceptance} acceptance */
const place = ({ communityName }) => ({ community: said(communityName) });

/**
 * A refusal that consumed nothing: the same link can be tried again in this browser.
 * @param {Acceptance} acceptance
 * @param {Retry} retry
 */
export function refused(acceptance, retry) {
  const refusal = REFUSALS[acceptance.status]?.(acceptance, retry) ?? { title: t("outcome.title"), told: serviceText(acceptance.message) };
  const same = retry.providers.filter(({ id }) => id === acceptance.provider?.id);
  const others = retry.providers.filter(({ id }) => id !== acceptance.provider?.id);
  const first = same.length === 0 || (refusal.only === "others" && others.length > 0) ? others : same;
  const rest = refusal.only ? [] : retry.providers.filter((provider) => !first.includes(provider));
  card(refusal.title, [
    paragraph(refusal.told),
    providerButtons(first, retry.accept, { label: first === same ? refusal.again : undefined }),
    rest.length > 0 && [h("p", { class: "or" }, t("outcome.other")), providerButtons(rest, retry.accept, { main: false })],
    refusal.help,
    retry.decline && h("div", { class: "quiet-actions" }, button(t("offer.decline"), { class: "link" }, retry.decline)),
  ].flat(), { tone: "warn" });
}
