// The invitee's page. Its view depends on the opened link and on the API's answer.

import { RequestFailed, ask, latest } from "./api.js";
import { keepsCookies } from "./cookies.js";
import { stopOnFailure } from "./failure.js";
import { keepForReload, restoreAddress, takeToken, onLinkChange } from "./link.js";
import * as api from "./operations.js";
import { announce, canRun, confirm, h, notice, problemWords, translate } from "./page.js";
import { goToProvider } from "./providers.js";
import { keep, kept } from "./tab.js";
import { t } from "./words.js";
import { otherRequestStays, showAcceptanceProblem } from "./acceptance-problems.js";
import * as views from "./confirm-views.js";

/** @typedef {import("./operations.js").Acceptance} Acceptance */
/** @typedef {import("./operations.js").InvitePreview} InvitePreview */
/** @typedef {import("./operations.js").Provider} Provider */

const RETURN_TO = "/confirm";
const ALL_TRIES = 5;
const POLL_WAITS_MS = [2_000, 3_000, 5_000, 8_000, 13_000, 20_000];

// --------------------------------------------------------------------------------------------- the object of the actions

/** The object of an action. Tabs of one browser may accept different invitations, so each tab keeps the id of its own
 * acceptance. The id is not secret: it is useless without the flow cookie.
 * @typedef {{ token: string } | { acceptanceId: string }} InvitationKey */

/** @type {string | null} The link's token, until a sign-in is bound to it. */
let token = null;

/** @param {string | null} opened */
function setToken(opened) {
  token = opened;
  keepForReload(opened);
}

/**
 * The opened link, or the acceptance of the view.
 * @param {Acceptance | null} acceptance
 * @returns {InvitationKey | null}
 */
const keyOf = (acceptance) => (token ? { token } : acceptance && { acceptanceId: acceptance.id });

// ------------------------------------------------------------------------------------------------------------ opening

const loading = latest();
const polling = latest();

/** Shows the view of the link in the address, or of this browser's last acceptance. */
async function open() {
  polling.abort();
  loading.abort();
  const opened = takeToken();
  setToken(opened.token);
  if (!keepsCookies()) return showCookiesOff();
  if (opened.cut) return views.showNoLink({ cut: true, open: openPasted });
  return load();
}

/** Reports at once that no sign-in can come back. A reload finds the link again. */
function showCookiesOff() {
  restoreAddress();
  views.showCookiesOff();
}

const load = () =>
  loading.run(async (signal) => {
    views.showLoading();
    try {
      decide(await read(signal));
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      views.showRequestFailure(error.message, load);
    }
  });

/** @param {AbortSignal} signal */
async function read(signal) {
  const own = token ? null : kept("acceptance");
  const answer = await ask(api.OPEN, { token, acceptanceId: own }, { signal });
  if (answer.acceptance || !own) return answer;
  return ask(api.OPEN, { token, acceptanceId: null }, { signal });
}

/** @param {import("../operation-types").OpenData} answer */
function decide(answer) {
  const { invitePreview, acceptance, providers } = answer;
  shown = fingerprint(answer);
  if (token) return invitePreview ? offer(invitePreview, null) : showInvalidLink({ token }, acceptance);
  if (!acceptance) return views.showNoLink({ cut: false, open: openPasted });
  // The browser's newest acceptance becomes this tab's: another tab may start a newer one.
  keep("acceptance", acceptance.id);
  return outcome(acceptance, invitePreview, providers);
}

/** @param {string} pasted */
function openPasted(pasted) {
  setToken(pasted);
  return load();
}

// ------------------------------------------------------------------------------------------------- coming back to the tab

/** @type {string | null} The answer that the view shows; null after an action, whose view stays. */
let shown = null;
let wasHidden = false;
const refreshing = latest();

/** @param {import("../operation-types").OpenData} answer */
const fingerprint = ({ invitePreview, acceptance }) => JSON.stringify([invitePreview, acceptance]);

/**
 * Reads the state again when the tab becomes visible, and shows it when it has changed: the person may have joined, declined
 * or signed out in another tab.
 */
async function refresh() {
  if (document.hidden || !wasHidden) return void (wasHidden ||= document.hidden);
  wasHidden = false;
  return refreshing.run(async (signal) => {
    const answer = shown && (await readQuietly(signal));
    if (!answer || !shown || fingerprint(answer) === shown) return;
    document.querySelector("dialog")?.close();
    decide(answer);
  });
}

/**
 * Null when the request fails: the view stays.
 * @param {AbortSignal} signal
 */
async function readQuietly(signal) {
  try {
    return await read(signal);
  } catch (error) {
    if (!(error instanceof RequestFailed)) throw error;
    return null;
  }
}

// ----------------------------------------------------------------------------------------------------------- outcomes

/**
 * @param {InvitePreview} preview
 * @param {Acceptance | null} started the acceptance that this browser started with it
 */
function offer(preview, started) {
  views.showOffer(preview, started, {
    accept: (provider, problems) => accept(started, provider, problems),
    decline: () => askToDecline(preview, started),
    onElapsed: () => (token ? showInvalidLink({ token }) : undefined),
  });
}

/**
 * @param {InvitationKey | null} key
 * @param {Acceptance | null} [earlier] another acceptance of this browser
 */
function showInvalidLink(key, earlier = null) {
  views.showInvalidLink({ acceptance: earlier, requestFreshLink: (problems) => requestFreshLink(key, problems) });
}

/**
 * @param {Acceptance} acceptance
 * @param {InvitePreview | null} preview
 * @param {Provider[]} providers
 */
function outcome(acceptance, preview, providers) {
  const { status, canRetry } = acceptance;
  polling.abort();
  if (status === "STARTED" || status === "CODE_REQUIRED") void stopOnFailure(poll(acceptance));
  if (status === "STARTED" && preview) return offer(preview, acceptance);
  if (status === "ACCEPTED" || status === "ALREADY_MEMBER") return views.showJoined(acceptance);
  if (!canRetry) return views.showClosed(acceptance, (problems) => requestFreshLink(keyOf(acceptance), problems));
  /** @type {views.Retry} */
  const retry = {
    providers,
    accept: (provider, problems) => accept(acceptance, provider, problems),
    requestOtherAddress: (problems) => requestOtherAddress(acceptance, problems),
    decline: preview ? () => askToDecline(preview, acceptance) : null,
  };
  if (status === "CODE_REQUIRED") return views.showCode(acceptance, (code) => confirmCode(acceptance, code), retry);
  return showAcceptanceProblem(acceptance, retry);
}

/**
 * Polls the acceptance until another view is shown: another tab may finish it, and the code's mail may bounce. The waits
 * grow, and a hidden tab sends no requests.
 * @param {Acceptance} acceptance
 */
const poll = ({ id, status }) =>
  polling.run(async (signal) => {
    for (let polls = 0; ; ) {
      await pause(POLL_WAITS_MS[Math.min(polls, POLL_WAITS_MS.length - 1)] ?? 0, signal);
      if (document.hidden) continue;
      const opened = await statusOf(id, signal);
      if (opened && opened !== status) return load();
      polls += 1;
    }
  });

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/**
 * The acceptance's present status; null when the request fails.
 * @param {string} acceptanceId
 * @param {AbortSignal} signal
 */
async function statusOf(acceptanceId, signal) {
  try {
    return (await ask(api.ACCEPTANCE_STATUS, { acceptanceId }, { signal })).acceptance?.status ?? null;
  } catch (error) {
    if (!(error instanceof RequestFailed)) throw error;
    return null;
  }
}

// ------------------------------------------------------------------------------------------------------------- actions

/**
 * Binds the link to a new sign-in, and goes to the provider. Only buttons call this.
 * @param {Acceptance | null} earlier the acceptance to try again without a token
 * @param {Provider} provider
 * @param {Element} problems
 */
async function accept(earlier, provider, problems) {
  const key = keyOf(earlier);
  const { acceptInvite: answer } = await ask(api.ACCEPT, {
    input: { ...key, providerId: provider.id, returnTo: RETURN_TO },
  });
  if (answer.__typename === "InviteLinkInvalid") return showInvalidLink(key);
  if ("acceptanceId" in answer) {
    keep("acceptance", answer.acceptanceId);
    setToken(null);
    announce(t("leaving", { provider: provider.label }));
  }
  return goToProvider(answer, problems);
}

/**
 * @param {Acceptance} acceptance
 * @param {string} code
 * @returns {Promise<views.CodeAnswer>}
 */
async function confirmCode(acceptance, code) {
  const { confirmAcceptance: answer } = await ask(api.CONFIRM, { input: { acceptanceId: acceptance.id, code } });
  if ("acceptance" in answer) {
    await showOutcome(answer.acceptance);
    return null;
  }
  if (answer.__typename === "InviteLinkInvalid") {
    await load();
    return null;
  }
  const { triesLeft } = answer;
  if (!triesLeft) return { words: problemWords(answer), triesLeft };
  // Entering a code before it was sent costs no try.
  return { words: triesLeft === ALL_TRIES ? t("code.early") : t("code.wrong", { count: triesLeft }), triesLeft };
}

/**
 * Shows the acceptance as a mutation returned it.
 * @param {Acceptance} acceptance
 */
const showOutcome = (acceptance) =>
  loading.run(async (signal) => {
    const answer = await read(signal);
    shown = fingerprint(answer);
    outcome(acceptance, answer.invitePreview, answer.providers);
  });

/**
 * @param {Acceptance} acceptance
 * @param {Element} problems
 */
async function requestOtherAddress(acceptance, problems) {
  const { requestOtherAddress: answer } = await ask(api.OTHER_ADDRESS, { input: { acceptanceId: acceptance.id } });
  if (!("acceptance" in answer)) return problems.replaceChildren(notice("problem", ...problemWords(answer)));
  if (answer.acceptance.otherAddressRequested) await showOutcome(answer.acceptance);
  else problems.replaceChildren(otherRequestStays(answer.acceptance));
  return announce(document.querySelector(".notice.done")?.textContent ?? "");
}

/**
 * Requests a fresh link. The answer is the same for every link.
 * @param {InvitationKey | null} key
 * @param {Element} problems
 */
async function requestFreshLink(key, problems) {
  const { requestFreshLink: answer } = await ask(api.FRESH_LINK, { input: { ...key } });
  if (answer.__typename === "RequestFreshLinkAnswer") {
    shown = null;
    return views.showFreshLinkSent(answer.message);
  }
  return problems.replaceChildren(notice("problem", ...problemWords(answer)));
}

/**
 * @param {InvitePreview} preview
 * @param {Acceptance | null} acceptance
 */
function askToDecline(preview, acceptance) {
  const key = keyOf(acceptance);
  const block = h("input", { type: "checkbox", id: "block", "aria-describedby": "block-hint" });
  const hint = t("decline.block.hint", { community: preview.communityName, address: preview.maskedEmail });
  const choice = [
    block,
    h("label", { for: "block" }, t("decline.block")),
    h("p", { class: "hint", id: "block-hint" }, hint),
  ];
  confirm(
    {
      title: t("decline.title", { community: preview.communityName }),
      text: t("decline.text", { inviter: preview.inviterName ?? preview.communityName }),
      yes: t("decline.button"),
      no: t("decline.keep"),
      // Blocking requires the token: another user of this browser does not have it.
      extra: token ? h("div", { class: "check" }, ...choice) : h("p", { class: "hint" }, t("decline.block.link")),
    },
    (problems) => decline(key, block.checked, problems),
  );
}

/**
 * @param {InvitationKey | null} key
 * @param {boolean} block
 * @param {Element} problems
 */
async function decline(key, block, problems) {
  const { declineInvite: answer } = await ask(api.DECLINE, { input: { ...key, block } });
  if ("communityName" in answer) {
    polling.abort();
    setToken(null);
    shown = null;
    views.showDeclined(answer.communityName, block);
    return true;
  }
  if (answer.__typename === "InviteLinkInvalid") {
    showInvalidLink(key);
    return true;
  }
  problems.replaceChildren(notice("problem", ...problemWords(answer)));
  return false;
}

// ------------------------------------------------------------------------------------------------------------ starting

translate(document);
if (canRun) {
  onLinkChange(() => void stopOnFailure(open()));
  // A page that the browser restores from its cache may show an old outcome.
  addEventListener("pageshow", (event) => {
    if (event.persisted) void stopOnFailure(open());
  });
  document.addEventListener("visibilitychange", () => void stopOnFailure(refresh()));
  void stopOnFailure(open());
}
