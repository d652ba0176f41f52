// What the invitee sees: one view for each state of an invitation and of its acceptance. Each says what happened and what
// to do next, and has one main button.

import { now } from "./api.js";
import { announce, button, card, emblem, field, h, notice, paragraph, part, said, serviceText, show, whenSubmitted } from "./page.js";
import { providerButtons } from "./providers.js";
import { timeLeft } from "./times.js";
import { tokenIn } from "./link.js";
import { rich, t } from "./words.js";

/** @typedef {import("./operations.js").Acceptance} Acceptance */
/** @typedef {import("./operations.js").InvitePreview} InvitePreview */
/** @typedef {import("./operations.js").Provider} Provider */
/** @typedef {import("./page.js").Child} Child */
/** @typedef {(provider: Provider, problems: Element) => Promise<unknown>} Accept */
/** @typedef {import("./refusals.js").Retry} Retry */
/** @typedef {{ words: Child | Child[], triesLeft?: number } | null} CodeAnswer null once another view is shown */
/** @typedef {(problems: Element) => Promise<unknown>} AskForFreshLink */

// ------------------------------------------------------------------------------------------------- before anything else

let loads = 0;

/** The first time the page's own markup says so already. */
export function loading() {
  if (loads++ === 0) return;
  const spinner = h("p", { class: "waiting" }, h("span", { class: "spinner", "aria-hidden": "true" }), t("confirm.loading"));
  part("view").replaceChildren(h("div", { class: "card" }, h("h1", null, t("confirm.title")), spinner));
  part("view").setAttribute("aria-busy", "true");
  announce(t("confirm.loading"));
}

/**
 * @param {string} message
 * @param {() => unknown} again also called by itself when the browser is back online
 */
export function unanswered(message, again) {
  const retry = button(t("again"), { class: "button primary" }, again);
  card(t("failed.title"), [h("p", { role: "alert" }, message), h("div", { class: "actions" }, retry)], { tone: "warn" });
  addEventListener("online", () => retry.isConnected && retry.click(), { once: true });
}

// ------------------------------------------------------------------------------------------------------------ the offer

const LONG_NAME = 20;
const LONG_MESSAGE = 280;
const LONG_MESSAGE_LINES = 6;

/**
 * @param {InvitePreview} preview
 * @param {Acceptance | null} started
 * @param {{ accept: Accept, decline: () => void, elapsed: () => void }} actions
 */
export function offer(preview, started, { accept, decline, elapsed }) {
  const title = t("offer.title", { community: preview.communityName });
  const parts = [
    invited(preview),
    words(preview),
    facts(preview),
    started && notice("note", t("offer.started", { provider: started.provider?.label ?? "" })),
    paragraph(t("offer.how")),
    providerButtons(preview.providers, accept),
    why(),
    h("div", { class: "quiet-actions" }, deadline(preview, elapsed), button(t("offer.decline"), { class: "link" }, decline)),
  ];
  show([h("article", { class: "card offer" }, ...parts)], { title });
}

/** @param {InvitePreview} preview */
function invited({ communityName, inviterName }) {
  const lead = h("p", { class: "lead" }, rich("offer.lead", { inviter: said(inviterName ?? communityName) }));
  const name = h("h1", { class: communityName.length > LONG_NAME ? "name long" : "name" }, said(communityName));
  return h("header", null, emblem(communityName), h("div", null, lead, name));
}

/** @param {InvitePreview} preview */
function words({ message, inviterName, communityName }) {
  if (!message) return null;
  const caption = h("figcaption", null, rich("offer.words", { inviter: said(inviterName ?? communityName) }));
  const quote = h("blockquote", { dir: "auto" }, message);
  const long = message.length > LONG_MESSAGE || message.split("\n").length > LONG_MESSAGE_LINES;
  return h("figure", { class: "words" }, caption, quote, long && readAll(quote));
}

/**
 * Long words must not push the buttons out of sight: their beginning is shown, and the rest on a press.
 * @param {HTMLElement} quote
 */
function readAll(quote) {
  quote.classList.add("shortened");
  const more = button(t("offer.read_all"), { class: "link" }, () => {
    quote.classList.remove("shortened");
    quote.setAttribute("tabindex", "-1");
    more.remove();
    quote.focus();
  });
  return more;
}

/**
 * For whom the invitation is, and as what.
 * @param {InvitePreview} preview
 */
function facts({ maskedEmail, role }) {
  const fact = (/** @type {string} */ name, /** @type {Child} */ value) => h("div", null, h("dt", null, name), h("dd", null, value));
  return h("dl", { class: "facts" }, fact(t("offer.for"), said(maskedEmail)), fact(t("offer.role"), t(`offer.role.${role}`)));
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
    forMembers(),
  ], { tone: "mail" });
}

/** @param {{ acceptance: Acceptance | null, freshLink: AskForFreshLink }} how */
export function dead({ acceptance, freshLink }) {
  const parts = [paragraph(t("dead.text")), freshLinkButton(freshLink), begun(acceptance), forMembers()];
  card(t("dead.title"), parts, { tone: "clock" });
}

/** Who joined long ago comes back by the link in the old mail, too. */
const forMembers = () =>
  h("div", { class: "quiet-actions" }, h("a", { class: "link", href: "/" }, t("no_link.member")));

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
  card(t("fresh.title"), [paragraph(serviceText(message)), h("p", { class: "aside" }, t("fresh.hint"))], { tone: "mail" });
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
  const told = status === "STARTED" || status === "CODE_REQUIRED" ? null : paragraph(serviceText(acceptance.message));
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
  const input = h("input", { class: "code", type: "text", inputmode: "numeric", autocomplete: "one-time-code", spellcheck: "false" });
  const digits = field(input, t("code.label"));
  const submit = button(t("code.button"), { class: "button primary", type: "submit" }, null);
  const form = h("form", null, digits.element, problems, submit);
  const again = providerButtons(
    retry.providers.filter(({ id }) => id === (acceptance.provider?.id ?? id)),
    retry.accept,
    { main: false, label: () => t("code.again.button") },
  );
  whenSubmitted(form, submit, problems, async () => {
    // However it is written or pasted, "123 456" or the mail's whole line, the digits are the code.
    const entered = input.value.replace(/\D/g, "");
    digits.wrong(entered.length === 6 ? null : t("code.incomplete"));
    if (entered.length !== 6) return;
    const answer = await confirm(entered);
    if (!answer) return;
    digits.wrong(answer.words);
    input.select();
    if (answer.triesLeft === 0) spent();
  });
  const spent = () => {
    form.replaceChildren(notice("problem", t("code.spent")));
    again.querySelector("button")?.classList.add("primary");
    again.querySelector("button")?.focus();
  };
  const address = h("strong", null, said(acceptance.maskedEmail));
  const told = paragraph(rich("code.text", { provider: acceptance.provider?.label ?? "", address }));
  told.id = "code-told";
  input.setAttribute("aria-describedby", `${told.id} ${input.getAttribute("aria-describedby")}`);
  card(t("code.title"), [told, form, h("p", { class: "aside" }, t("code.again")), again], { tone: "mail", focus: input });
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
