// The views of the invitee's page: one for each state of an invitation and of its acceptance.

import { now } from "./clock.js";
import { hasFailed } from "./failure.js";
import { announce, button, card, emblem, field, h, notice, paragraph, elementById, isolated, serviceText, show, onSubmit } from "./page.js";
import { providerButtons } from "./providers.js";
import { keep } from "./tab.js";
import { timeLeft } from "./times.js";
import { tokenIn } from "./link.js";
import { rich, t } from "./words.js";

/** @typedef {import("./operations.js").Acceptance} Acceptance */
/** @typedef {import("./operations.js").InvitePreview} InvitePreview */
/** @typedef {import("./operations.js").Provider} Provider */
/** @typedef {import("./page.js").Child} Child */
/** @typedef {(provider: Provider, problems: Element) => Promise<unknown>} Accept */
/** @typedef {import("./acceptance-problems.js").Retry} Retry */
/** @typedef {{ words: Child | Child[], triesLeft?: number } | null} CodeAnswer null after another view was shown */
/** @typedef {(problems: Element) => Promise<unknown>} AskForFreshLink */

// ------------------------------------------------------------------------------------------------- before anything else

let loads = 0;

/** Shows that the invitation loads. The page's markup shows it the first time. */
export function showLoading() {
  if (loads++ === 0 || hasFailed()) return;
  const spinner = h("p", { class: "waiting" }, h("span", { class: "spinner", "aria-hidden": "true" }), t("confirm.loading"));
  elementById("view").replaceChildren(h("div", { class: "card" }, h("h1", null, t("confirm.title")), spinner));
  elementById("view").setAttribute("aria-busy", "true");
  announce(t("confirm.loading"));
}

/**
 * @param {string} message
 * @param {() => unknown} again also called when the browser is online again
 */
export function showRequestFailure(message, again) {
  const retry = button(t("again"), { class: "button primary" }, again);
  card(t("failed.title"), [h("p", { role: "alert" }, message), h("div", { class: "actions" }, retry)], { tone: "warn" });
  addEventListener("online", () => retry.isConnected && retry.click(), { once: true });
}

/** Shows that the browser keeps no cookies. Browsers apply their settings to a page when it is loaded. */
export function showCookiesOff() {
  const host = h("strong", null, isolated(location.host));
  const reload = button(t("again"), { class: "button primary" }, () => location.reload());
  card(t("cookies.title"), [paragraph(rich("cookies.text", { host })), h("div", { class: "actions" }, reload)], { tone: "warn" });
}

// ------------------------------------------------------------------------------------------------------------ the offer

const LONG_NAME = 20;
const LONG_MESSAGE = 280;
const LONG_MESSAGE_LINES = 6;

/**
 * @param {InvitePreview} preview
 * @param {Acceptance | null} started
 * @param {{ accept: Accept, decline: () => void, onElapsed: () => void }} actions
 */
export function showOffer(preview, started, { accept, decline, onElapsed }) {
  const title = t("offer.title", { community: preview.communityName });
  const parts = [
    invitationHeader(preview),
    messageFigure(preview),
    facts(preview),
    started && notice("note", t("offer.started", { provider: started.provider?.label ?? "" })),
    paragraph(t("offer.how")),
    providerButtons(preview.providers, accept),
    explanation(),
    h("div", { class: "quiet-actions" }, deadlineText(preview, onElapsed), button(t("offer.decline"), { class: "link" }, decline)),
  ];
  show([h("article", { class: "card offer" }, ...parts)], { title });
}

/** @param {InvitePreview} preview */
function invitationHeader({ communityName, inviterName }) {
  const lead = h("p", { class: "lead" }, rich("offer.lead", { inviter: isolated(inviterName ?? communityName) }));
  const name = h("h1", { class: communityName.length > LONG_NAME ? "name long" : "name" }, isolated(communityName));
  return h("header", null, emblem(communityName), h("div", null, lead, name));
}

/** @param {InvitePreview} preview */
function messageFigure({ message, inviterName, communityName }) {
  if (!message) return null;
  const caption = h("figcaption", null, rich("offer.words", { inviter: isolated(inviterName ?? communityName) }));
  const quote = h("blockquote", { dir: "auto" }, message);
  const long = message.length > LONG_MESSAGE || message.split("\n").length > LONG_MESSAGE_LINES;
  return h("figure", { class: "words" }, caption, quote, long && readAll(quote));
}

/**
 * Shortens a long message, so that the buttons stay visible. The button shows the rest.
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
 * The invited address and the role.
 * @param {InvitePreview} preview
 */
function facts({ maskedEmail, role }) {
  const fact = (/** @type {string} */ name, /** @type {Child} */ value) => h("div", null, h("dt", null, name), h("dd", null, value));
  return h("dl", { class: "facts" }, fact(t("offer.for"), isolated(maskedEmail)), fact(t("offer.role"), t(`offer.role.${role}`)));
}

/**
 * @param {InvitePreview} preview
 * @param {() => void} onElapsed
 */
function deadlineText({ linkExpiresAt }, onElapsed) {
  // A started sign-in may finish after the link has expired.
  if (Date.parse(linkExpiresAt) <= now()) return null;
  const clock = timeLeft(linkExpiresAt, {
    lastMinute: () => announce(t("offer.one_minute")),
    elapsed: () => {
      text.remove();
      onElapsed();
    },
  });
  const text = h("p", { class: "deadline" }, rich("offer.valid", { time: clock }));
  return text;
}

const explanation = () =>
  h(
    "details",
    { class: "why" },
    h("summary", null, t("offer.why")),
    h("p", null, t("offer.why.text"), " ", t("offer.members_only")),
  );

// ----------------------------------------------------------------------------------------------- no link, or a dead one

/** @param {{ cut: boolean, open: (token: string) => Promise<unknown> }} how */
export function showNoLink({ cut, open }) {
  const problems = h("div", { class: "problems" });
  const input = h("input", { type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", inputmode: "url" });
  const address = h("code", null, `${location.origin}/confirm#`);
  const link = field(input, t("paste.label"), rich("paste.hint", { address }));
  const submit = button(t("paste.button"), { class: "button primary", type: "submit" }, null);
  const form = h("form", null, link.element, problems, submit);
  onSubmit(form, submit, problems, () => {
    const token = tokenIn(input.value);
    link.setError(token ? null : t("paste.wrong"));
    if (!token) return null;
    input.value = "";
    return open(token);
  });
  card(cut ? t("cut.title") : t("no_link.title"), [
    paragraph(cut ? t("cut.text") : t("no_link.text")),
    form,
    h("p", { class: "aside" }, t("no_link.lost")),
    memberLink(),
  ], { tone: "mail" });
}

/** @param {{ acceptance: Acceptance | null, requestFreshLink: AskForFreshLink }} how */
export function showInvalidLink({ acceptance, requestFreshLink }) {
  const parts = [paragraph(t("dead.text")), freshLinkButton(requestFreshLink), earlierAcceptance(acceptance), memberLink()];
  card(t("dead.title"), parts, { tone: "clock" });
}

/** Members may open an old mail's link to sign in. */
const memberLink = () =>
  h("div", { class: "quiet-actions" }, h("a", { class: "link", href: "/" }, t("no_link.member")));

/**
 * A link to this browser's earlier acceptance, which may be of this invitation.
 * @param {Acceptance | null} acceptance
 */
function earlierAcceptance(acceptance) {
  if (!acceptance) return null;
  const community = acceptance.communityName;
  if (acceptance.membership) {
    return h("p", { class: "aside" }, h("a", { href: communityAddress(acceptance) }, t("dead.joined", { community })));
  }
  const open = h("a", { href: "/confirm", click: () => keep("acceptance", acceptance.id) }, t("dead.continue", { community }));
  return acceptance.canRetry && h("p", { class: "aside" }, open);
}

/** @param {AskForFreshLink} requestFreshLink */
function freshLinkButton(requestFreshLink) {
  const problems = h("div", { class: "problems" });
  const ask = button(t("dead.button"), { class: "button primary", problems }, () => requestFreshLink(problems));
  return h("div", { class: "actions" }, ask, problems);
}

/** @param {string} message */
export function showFreshLinkSent(message) {
  card(t("fresh.title"), [paragraph(serviceText(message)), h("p", { class: "aside" }, t("fresh.hint"))], { tone: "mail" });
}

// ----------------------------------------------------------------------------------------------- how an acceptance ended

/** @param {Acceptance} acceptance */
const communityAddress = ({ membership }) => (membership ? `/#/communities/${membership.community.id}` : "/");

/** @param {Acceptance} acceptance */
export function showJoined(acceptance) {
  const community = acceptance.communityName;
  const already = acceptance.status === "ALREADY_MEMBER";
  const text = already ? "already.text" : acceptance.membership ? "accepted.text" : "accepted.signed_out";
  const to = acceptance.membership ? t("accepted.button", { community }) : t("sign_in.title");
  card(already ? t("already.title") : t("accepted.title", { community }), [
    paragraph(rich(text, { community: isolated(community) })),
    h("div", { class: "actions" }, h("a", { class: "button primary", href: communityAddress(acceptance) }, to)),
  ], { above: emblem(community) });
}

/**
 * Shows an acceptance that cannot continue.
 * @param {Acceptance} acceptance
 * @param {AskForFreshLink} requestFreshLink
 */
export function showClosed(acceptance, requestFreshLink) {
  const { status } = acceptance;
  const text = status === "STARTED" || status === "CODE_REQUIRED" ? null : paragraph(serviceText(acceptance.message));
  const next = status === "LINK_INVALID" ? null : paragraph(t("outcome.over"));
  card(t("invalid.title"), [text, next, freshLinkButton(requestFreshLink), memberLink()], { tone: "clock" });
}

/**
 * @param {Acceptance} acceptance
 * @param {(code: string) => Promise<CodeAnswer>} confirm
 * @param {Retry} retry
 */
export function showCode(acceptance, confirm, retry) {
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
  onSubmit(form, submit, problems, async () => {
    // Accept "123 456" and a whole line of the mail: only the digits count, those of every script. The service reads them.
    const entered = input.value.match(/\p{Nd}/gu) ?? [];
    digits.setError(entered.length === 6 ? null : t("code.incomplete"));
    if (entered.length !== 6) return;
    const answer = await confirm(entered.join(""));
    if (!answer) return;
    digits.setError(answer.words);
    input.select();
    if (answer.triesLeft === 0) showNoTriesLeft();
  });
  const showNoTriesLeft = () => {
    form.replaceChildren(notice("problem", t("code.spent")));
    again.querySelector("button")?.classList.add("primary");
    again.querySelector("button")?.focus();
  };
  const address = h("strong", null, isolated(acceptance.maskedEmail));
  const text = paragraph(rich("code.text", { provider: acceptance.provider?.label ?? "", address }));
  text.id = "code-text";
  input.setAttribute("aria-describedby", `${text.id} ${input.getAttribute("aria-describedby")}`);
  card(t("code.title"), [text, form, h("p", { class: "aside" }, t("code.again")), again], { tone: "mail", focus: input });
}

// ------------------------------------------------------------------------------------------------------------ declining

/**
 * @param {string} community
 * @param {boolean} blocked
 */
export function showDeclined(community, blocked) {
  card(t("declined.title"), [
    paragraph(rich("declined.text", { community: isolated(community) })),
    blocked && paragraph(rich("declined.blocked", { community: isolated(community) })),
  ], { tone: "done" });
}
