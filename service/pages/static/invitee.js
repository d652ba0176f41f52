// What the invitee sees: one view for each state of an invitation and of its acceptance. Each says what happened and what
// to do next, and has one main button.

import { now } from "./api.js";
import { announce, button, emblem, fromService, h, notice, part, said, show, field, whenSubmitted } from "./page.js";
import { providerButtons } from "./providers.js";
import { timeLeft } from "./times.js";
import { tokenIn } from "./link.js";
import { rich, t } from "./words.js";

/** @typedef {import("./operations.js").Acceptance} Acceptance */
/** @typedef {import("./operations.js").InvitePreview} InvitePreview */
/** @typedef {import("./operations.js").Provider} Provider */
/** @typedef {import("./page.js").Child} Child */
/** @typedef {(provider: Provider, problems: Element) => Promise<unknown>} Accept */
/** @typedef {{ providers: Provider[], accept: Accept, decline: (() => void) | null }} Retry */
/** @typedef {{ words: Child[], triesLeft?: number } | null} CodeAnswer null once another view is shown */
/** @typedef {(problems: Element) => Promise<unknown>} AskForFreshLink */

/**
 * A card with a heading, which becomes the page's title.
 * @param {string} title
 * @param {(Child | Child[])[]} children
 * @param {{ focus?: boolean, above?: Node, tone?: string }} [how]
 */
function card(title, children, { focus = true, above, tone } = {}) {
  const mark = tone ? h("span", { class: `mark ${tone}`, "aria-hidden": "true" }) : null;
  show([h("div", { class: "card" }, above ?? mark, h("h1", null, title), ...children)], { title, focus });
}

const paragraph = (/** @type {(Child | Child[])[]} */ ...children) => h("p", null, ...children);

// ------------------------------------------------------------------------------------------------- before anything else

let loads = 0;

/** The first time the page's own markup says so already. */
export function loading() {
  if (loads++ === 0) return;
  const spinner = h("p", { class: "waiting" }, h("span", { class: "spinner", "aria-hidden": "true" }), t("confirm.loading"));
  part("view").replaceChildren(h("div", { class: "card" }, spinner));
  part("view").setAttribute("aria-busy", "true");
  announce(t("confirm.loading"));
}

/**
 * @param {string} message
 * @param {() => unknown} again
 */
export function unanswered(message, again) {
  card(t("failed.title"), [
    h("p", { role: "alert" }, message),
    h("div", { class: "actions" }, button(t("again"), { class: "button primary" }, again)),
  ], { tone: "warn" });
}

// ------------------------------------------------------------------------------------------------------------ the offer

/**
 * @param {InvitePreview} preview
 * @param {Acceptance | null} started
 * @param {{ accept: Accept, decline: () => void, elapsed: () => void }} actions
 */
export function offer(preview, started, { accept, decline, elapsed }) {
  const title = t("offer.title", { community: preview.communityName });
  const parts = [
    emblem(preview.communityName),
    h("p", { class: "lead" }, rich(`offer.${preview.role}`, { inviter: said(preview.inviterName) })),
    h("h1", { class: "name" }, said(preview.communityName)),
    words(preview),
    started && notice("note", t("offer.started", { provider: started.provider?.label ?? "" })),
    h("p", { class: "for" }, rich("offer.for", { address: h("strong", null, said(preview.maskedEmail)) })),
    providerButtons(preview.providers, accept),
    why(),
    h("div", { class: "quiet-actions" }, deadline(preview, elapsed), button(t("offer.decline"), { class: "link" }, decline)),
  ];
  show([h("article", { class: "card offer" }, ...parts)], { title });
}

/** @param {InvitePreview} preview */
function words({ message, inviterName }) {
  if (!message) return null;
  const caption = h("figcaption", null, rich("offer.words", { inviter: said(inviterName) }));
  return h("figure", { class: "words" }, caption, h("blockquote", { dir: "auto" }, message));
}

/**
 * @param {InvitePreview} preview
 * @param {() => void} elapsed
 */
function deadline({ linkExpiresAt }, elapsed) {
  // A sign-in that was begun may still be finished after the link's own minutes.
  if (Date.parse(linkExpiresAt) <= now()) return null;
  const clock = timeLeft(linkExpiresAt, {
    lastMinute: () => announce(t("offer.one_minute")),
    elapsed: () => {
      told.remove();
      elapsed();
    },
  });
  const told = h("p", { class: "deadline" }, rich("offer.valid", { time: clock }));
  return told;
}

const why = () =>
  h(
    "details",
    { class: "why" },
    h("summary", null, t("offer.why")),
    h("p", null, t("offer.why.text"), " ", t("offer.members_only")),
  );

// ----------------------------------------------------------------------------------------------- no link, or a dead one

/** @param {{ cut: boolean, open: (token: string) => Promise<unknown> }} how */
export function noLink({ cut, open }) {
  const problems = h("div", { class: "problems" });
  const input = h("input", { type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", inputmode: "url" });
  const address = h("code", null, `${location.origin}/confirm#`);
  const link = field(input, t("paste.label"), rich("paste.hint", { address }));
  const submit = button(t("paste.button"), { class: "button primary", type: "submit" }, null);
  const form = h("form", null, link.element, problems, submit);
  whenSubmitted(form, submit, problems, () => {
    const token = tokenIn(input.value);
    link.wrong(token ? null : t("paste.wrong"));
    if (!token) return null;
    input.value = "";
    return open(token);
  });
  card(cut ? t("cut.title") : t("no_link.title"), [
    paragraph(cut ? t("cut.text") : t("no_link.text")),
    form,
    h("p", { class: "aside" }, t("no_link.lost")),
    h("div", { class: "quiet-actions" }, h("a", { class: "link", href: "/" }, t("no_link.member"))),
  ], { tone: "mail" });
}

/** @param {{ acceptance: Acceptance | null, freshLink: AskForFreshLink }} how */
export function dead({ acceptance, freshLink }) {
  card(t("dead.title"), [paragraph(t("dead.text")), freshLinkButton(freshLink), begun(acceptance)], { tone: "clock" });
}

/**
 * What this browser did before with a link, which may be this one.
 * @param {Acceptance | null} acceptance
 */
function begun(acceptance) {
  if (!acceptance) return null;
  const community = acceptance.communityName;
  if (acceptance.membership) {
    return h("p", { class: "aside" }, h("a", { href: placeOf(acceptance) }, t("dead.joined", { community })));
  }
  return acceptance.canRetry && h("p", { class: "aside" }, h("a", { href: "/confirm" }, t("dead.continue", { community })));
}

/** @param {AskForFreshLink} freshLink */
function freshLinkButton(freshLink) {
  const problems = h("div", { class: "problems" });
  const ask = button(t("dead.button"), { class: "button primary", problems }, () => freshLink(problems));
  return h("div", { class: "actions" }, ask, problems);
}

/** @param {string} message */
export function freshLinkSent(message) {
  card(t("fresh.title"), [paragraph(fromService(message)), h("p", { class: "aside" }, t("fresh.hint"))], { tone: "mail" });
}

// ----------------------------------------------------------------------------------------------- how an acceptance ended

/** @param {Acceptance} acceptance */
const placeOf = ({ membership }) => (membership ? `/#/communities/${membership.community.id}` : "/");

/** @param {Acceptance} acceptance */
export function joined(acceptance) {
  const community = acceptance.communityName;
  const already = acceptance.status === "ALREADY_MEMBER";
  const text = already ? "already.text" : acceptance.membership ? "accepted.text" : "accepted.signed_out";
  const to = acceptance.membership ? t("accepted.button", { community }) : t("sign_in.title");
  card(already ? t("already.title") : t("accepted.title", { community }), [
    paragraph(rich(text, { community: said(community) })),
    h("div", { class: "actions" }, h("a", { class: "button primary", href: placeOf(acceptance) }, to)),
  ], { above: emblem(community) });
}

/**
 * Nothing more can be done here with this acceptance.
 * @param {Acceptance} acceptance
 * @param {AskForFreshLink} freshLink
 */
export function over(acceptance, freshLink) {
  const { status } = acceptance;
  const told = status === "STARTED" || status === "CODE_REQUIRED" ? null : paragraph(fromService(acceptance.message));
  const next = status === "LINK_INVALID" ? null : paragraph(t("outcome.over"));
  card(t("invalid.title"), [told, next, freshLinkButton(freshLink)], { tone: "clock" });
}

/**
 * @param {Acceptance} acceptance
 * @param {(code: string) => Promise<CodeAnswer>} confirm
 * @param {Retry} retry
 */
export function code(acceptance, confirm, retry) {
  const problems = h("div", { class: "problems" });
  const input = h("input", {
    class: "code", type: "text", inputmode: "numeric", autocomplete: "one-time-code", maxlength: "20", spellcheck: "false",
  });
  const digits = field(input, t("code.label"));
  const submit = button(t("code.button"), { class: "button primary", type: "submit" }, null);
  const form = h("form", null, digits.element, problems, submit);
  const again = providerButtons(
    retry.providers.filter(({ id }) => id === (acceptance.provider?.id ?? id)),
    retry.accept,
    { main: false, label: () => t("code.again.button") },
  );
  whenSubmitted(form, submit, problems, async () => {
    const entered = input.value.replace(/[\s\-–]/g, "");
    digits.wrong(/^\d{6}$/.test(entered) ? null : t("code.incomplete"));
    if (!/^\d{6}$/.test(entered)) return;
    const answer = await confirm(entered);
    if (!answer) return;
    digits.wrong(answer.words);
    input.select();
    if (answer.triesLeft === 0) spent();
  });
  const spent = () => {
    form.replaceChildren(notice("problem", digits.element.querySelector(".field-error")?.textContent));
    again.querySelector("button")?.classList.add("primary");
    again.querySelector("button")?.focus();
  };
  card(t("code.title"), [
    paragraph(rich("code.text", {
      provider: acceptance.provider?.label ?? "", address: h("strong", null, said(acceptance.maskedEmail)),
    })),
    form,
    h("p", { class: "aside" }, t("code.again")),
    again,
  ], { tone: "mail" });
}

// ------------------------------------------------------------------------------------------------------------- refusals

/**
 * What a refusal is called, what is told of it, and how the main way on is worded.
 * @typedef {object} Refusal
 * @property {string} title
 * @property {Child | Child[]} told
 * @property {(provider: Provider) => string} [again]
 * @property {Child} [help]
 * @property {"same" | "others"} [only] which providers can help at all, where not all of them can
 */

/** @type {Record<string, (acceptance: Acceptance) => Refusal>} */
const REFUSALS = {
  EMAIL_MISMATCH: (acceptance) => ({
    title: t("mismatch.title"),
    told: rich("mismatch.text", addresses(acceptance)),
    again: () => t("mismatch.button"),
    help: h(
      "details",
      { class: "why" },
      h("summary", null, rich("mismatch.help", addresses(acceptance))),
      h("p", null, rich("mismatch.help.text", addresses(acceptance))),
    ),
  }),
  EMAIL_NOT_VERIFIED: ({ message }) => ({
    title: t("unverified.title"),
    told: fromService(message),
    again: () => t("mismatch.button"),
  }),
  IDENTITY_CONFLICT: ({ provider }) => ({
    title: t("conflict.title"),
    told: t("conflict.text"),
    only: "others",
    help: h(
      "p",
      { class: "aside" },
      t("conflict.link", { provider: provider?.label ?? "" }),
      " ",
      h("a", { href: "/#/account" }, t("conflict.link.button")),
    ),
  }),
  SEAT_LIMIT_REACHED: ({ communityName }) => ({
    title: t("seats.title"),
    told: rich("seats.text", { community: said(communityName) }),
    again: () => t("again"),
    only: "same",
  }),
  NOT_ALLOWED: ({ message }) => ({ title: t("not_allowed.title"), told: fromService(message), again: () => t("again"), only: "same" }),
  SIGN_IN_FAILED: ({ message }) => ({
    title: t("failed_sign_in.title"),
    told: fromService(message),
    again: ({ label }) => t("failed_sign_in.button", { provider: label }),
  }),
};

/** @param {Acceptance} acceptance */
function addresses({ signedInEmail, maskedEmail }) {
  const signedIn = signedInEmail ? h("strong", null, said(signedInEmail)) : t("mismatch.no_address");
  return { signedIn, invited: h("strong", null, said(maskedEmail)) };
}

/**
 * A refusal that consumed nothing: the same link can be tried again in this browser.
 * @param {Acceptance} acceptance
 * @param {Retry} retry
 */
export function refused(acceptance, retry) {
  const refusal = REFUSALS[acceptance.status]?.(acceptance) ?? { title: t("outcome.title"), told: fromService(acceptance.message) };
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

// ------------------------------------------------------------------------------------------------------------ declining

/**
 * @param {string} community
 * @param {boolean} blocked
 */
export function declined(community, blocked) {
  card(t("declined.title"), [
    paragraph(rich("declined.text", { community: said(community) })),
    blocked && paragraph(rich("declined.blocked", { community: said(community) })),
  ], { tone: "done" });
}
