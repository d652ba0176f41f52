// The invitee's page. Its view depends on the opened link and on the API's answer.

import { RequestFailed, ask, latest } from "./api.js";
import { takeToken, onLinkChange } from "./link.js";
import * as api from "./operations.js";
import { announce, confirm, h, notice, problemWords, translate } from "./page.js";
import { goToProvider } from "./providers.js";
import { t } from "./words.js";
import { otherRequestStays, showAcceptanceProblem } from "./acceptance-problems.js";
import * as views from "./confirm-views.js";

/** @typedef {import("./operations.js").Acceptance} Acceptance */
/** @typedef {import("./operations.js").InvitePreview} InvitePreview */
/** @typedef {import("./operations.js").Provider} Provider */

const RETURN_TO = "/confirm";
const ALL_TRIES = 5;
const POLL_WAITS_MS = [2_000, 3_000, 5_000, 8_000, 13_000, 20_000];

/** @type {string | null} The link's token, until a sign-in is bound to it. */
let token = null;

// ------------------------------------------------------------------------------------------------- the tab's acceptance

const TAB = "guestlist.acceptance";

// Each tab stores the id of its acceptance, because tabs of one browser may accept different invitations. The id is not
// secret: it is useless without the flow cookie.
const ownAcceptance = {
  get: () => remembered(() => sessionStorage.getItem(TAB)),
  /** @param {string} id */
  set: (id) => remembered(() => sessionStorage.setItem(TAB, id)),
};

/**
 * Returns null when the browser forbids storage. The page then shows the browser's newest acceptance.
 * @template Value
 * @param {() => Value} work
 */
function remembered(work) {
  try {
    return work();
  } catch {
    return null;
  }
}

// ------------------------------------------------------------------------------------------------------------ opening

const loading = latest();
const polling = latest();

/** Shows the view of the link in the address, or of this browser's last acceptance. */
async function open() {
  polling.abort();
  loading.abort();
  const opened = takeToken();
  token = opened.token;
  if (opened.cut) return views.showNoLink({ cut: true, open: openPasted });
  return load();
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
  const answer = await ask(api.OPEN, { token, acceptanceId: token ? null : ownAcceptance.get() }, { signal });
  if (answer.acceptance || token || !ownAcceptance.get()) return answer;
  return ask(api.OPEN, { token, acceptanceId: null }, { signal });
}

/** @param {import("../operation-types").OpenData} answer */
function decide({ invitePreview, acceptance, providers }) {
  if (token) return invitePreview ? offer(invitePreview, null) : views.showInvalidLink({ acceptance, requestFreshLink });
  if (!acceptance) return views.showNoLink({ cut: false, open: openPasted });
  return outcome(acceptance, previewOf(acceptance, invitePreview), providers);
}

/**
 * The preview if it belongs to the acceptance. Without a token it is of the browser's newest acceptance, perhaps another tab's.
 * @param {Acceptance} acceptance
 * @param {InvitePreview | null} preview
 */
function previewOf(acceptance, preview) {
  const same = preview?.maskedEmail === acceptance.maskedEmail && preview.communityName === acceptance.communityName;
  return same ? preview : null;
}

/** @param {string} pasted */
function openPasted(pasted) {
  token = pasted;
  return load();
}

// ----------------------------------------------------------------------------------------------------------- outcomes

/**
 * @param {InvitePreview} preview
 * @param {Acceptance | null} started the acceptance that this browser started with it
 */
function offer(preview, started) {
  views.showOffer(preview, started, {
    accept: (provider, problems) => accept(started, provider, problems),
    decline: () => askToDecline(preview),
    onElapsed: () => (token ? views.showInvalidLink({ acceptance: null, requestFreshLink }) : undefined),
  });
}

/**
 * @param {Acceptance} acceptance
 * @param {InvitePreview | null} preview
 * @param {Provider[]} providers
 */
function outcome(acceptance, preview, providers) {
  const { status, canRetry } = acceptance;
  polling.abort();
  if (status === "STARTED" || status === "CODE_REQUIRED") void poll(acceptance);
  if (status === "STARTED" && preview) return offer(preview, acceptance);
  if (status === "ACCEPTED" || status === "ALREADY_MEMBER") return views.showJoined(acceptance);
  if (status === "LINK_INVALID" || !canRetry) return views.showClosed(acceptance, requestFreshLink);
  /** @type {views.Retry} */
  const retry = {
    providers,
    accept: (provider, problems) => accept(acceptance, provider, problems),
    requestOtherAddress: (problems) => requestOtherAddress(acceptance, problems),
    decline: preview ? () => askToDecline(preview) : null,
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
  const link = token ? { token } : earlier ? { acceptanceId: earlier.id } : {};
  const { acceptInvite: answer } = await ask(api.ACCEPT, {
    input: { ...link, providerId: provider.id, returnTo: RETURN_TO },
  });
  if (answer.__typename === "InviteLinkInvalid") return views.showInvalidLink({ acceptance: null, requestFreshLink });
  if ("acceptanceId" in answer) {
    ownAcceptance.set(answer.acceptanceId);
    token = null;
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
    const { invitePreview, providers } = await read(signal);
    outcome(acceptance, previewOf(acceptance, invitePreview), providers);
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
 * @param {Element} problems
 */
async function requestFreshLink(problems) {
  const { requestFreshLink: answer } = await ask(api.FRESH_LINK, { input: token ? { token } : {} });
  if (answer.__typename === "RequestFreshLinkAnswer") return views.showFreshLinkSent(answer.message);
  return problems.replaceChildren(notice("problem", ...problemWords(answer)));
}

/** @param {InvitePreview} preview */
function askToDecline(preview) {
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
    (problems) => decline(block.checked, problems),
  );
}

/**
 * @param {boolean} block
 * @param {Element} problems
 */
async function decline(block, problems) {
  const { declineInvite: answer } = await ask(api.DECLINE, { input: { ...(token ? { token } : {}), block } });
  if ("communityName" in answer) {
    polling.abort();
    token = null;
    views.showDeclined(answer.communityName, block);
    return true;
  }
  if (answer.__typename === "InviteLinkInvalid") {
    views.showInvalidLink({ acceptance: null, requestFreshLink });
    return true;
  }
  problems.replaceChildren(notice("problem", ...problemWords(answer)));
  return false;
}

// ------------------------------------------------------------------------------------------------------------ starting

translate(document);
onLinkChange(() => void open());
// A page that the browser restores from its cache may show an old outcome.
addEventListener("pageshow", (event) => {
  if (event.persisted) void open();
});
void open();
