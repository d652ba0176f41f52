// One invitation: its details, its actions and its timeline.

import { RequestFailed, ask, latest } from "../api.js";
import * as api from "../operations.js";
import { address, announce, button, confirm, h, notice, problemWords, isolated, serviceText, show } from "../page.js";
import { timeAgo, timeUntil } from "../times.js";
import { formatTime, rich, t } from "../words.js";
import { TROUBLE, deliveryWords, statusBadge } from "./invitation-rows.js";
import { followInvitations } from "./subscription.js";
import { moreButton, showNotFound, showProblem } from "./community-page.js";
import { cameFrom } from "./places.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").AuditEvent} AuditEvent */
/** @typedef {import("../operations.js").InvitationDetails} Invitation */
/** @typedef {Pick<import("../operations.js").Member, "name" | "displayEmail">} Member */
/** @typedef {import("../page.js").Child} Child */

const EVENTS = 100;

/**
 * @param {string} id
 * @param {AbortSignal} signal
 * @param {string | null} after
 */
const read = (id, signal, after = null) => ask(api.INVITATION, { id, first: EVENTS, after }, { signal });

/** @type {import("../console.js").View} */
export async function invitation(context, communityId = "", id = "") {
  const { viewer, invitation: loaded } = await read(id, context.signal);
  if (!viewer) return context.endSession();
  if (!loaded || loaded.community.id !== communityId) return showNotFound(t("invitation.gone.title"), t("invitation.gone"));
  const refreshing = latest(context.signal);
  let shown = loaded;
  const refresh = () =>
    refreshing.run(async (signal) => {
      const { viewer, invitation: fresh } = await read(id, signal);
      if (!viewer) return context.endSession();
      if (!fresh || JSON.stringify(fresh) === JSON.stringify(shown)) return;
      shown = fresh;
      withFocusKept(() => render(context, fresh, area, false));
    });
  const flash = context.takeFlash();
  const message = h("div", { hidden: !flash }, flash);
  const area = { message, refresh };
  render(context, loaded, area, true);
  refreshOnChange(context, loaded, refresh);
}

/**
 * The element for messages, which stays when the view is rendered again, and the function that loads the invitation again.
 * @typedef {{ message: HTMLElement, refresh: () => Promise<unknown> }} MessageArea
 */

/**
 * @param {ViewContext} context
 * @param {Invitation} shown
 * @param {MessageArea} area
 * @param {boolean} focus
 */
function render(context, shown, area, focus) {
  const parts = [
    h(
      "p",
      { class: "crumb" },
      h(
        "a",
        { href: `#/communities/${shown.community.id}`, "data-key": "back", click: goBack },
        "← ",
        t("invitation.back"),
      ),
    ),
    h("header", { class: "subject" }, h("h1", null, address(shown.email, shown.displayEmail)), statusBadge(shown)),
    area.message,
    shown.blockedReason && notice("problem", serviceText(shown.blockedReason)),
    deliveryProblem(shown),
    proposal(context, shown),
    actions(context, shown, area),
    h("div", { class: "columns" }, timelinePanel(shown, context.signal), facts(shown)),
  ];
  show(
    parts.filter((node) => node instanceof Node),
    { title: shown.displayEmail, focus },
  );
}

/**
 * Follows the link to the list. A reader who came from there goes back, to their filter and their row.
 * @param {MouseEvent} event
 */
function goBack(event) {
  const href = event.currentTarget instanceof Element ? (event.currentTarget.getAttribute("href") ?? "") : "";
  if (event.ctrlKey || event.metaKey || event.shiftKey || !cameFrom(href)) return;
  event.preventDefault();
  history.back();
}

/** @param {Invitation} shown */
function deliveryProblem(shown) {
  if (shown.status !== "PENDING" || !shown.deliveryReason || !TROUBLE.includes(shown.delivery)) return null;
  return notice("problem", serviceText(shown.deliveryReason));
}

/**
 * The invitee's request to be invited at the address of another sign-in, with a button for it.
 * @param {ViewContext} context
 * @param {Invitation} shown
 */
function proposal(context, shown) {
  const { proposedEmail, displayProposedEmail: email, status, role, message, locale, community } = shown;
  if (!proposedEmail || !email || status === "ACCEPTED") return null;
  const problems = h("div", { class: "problems" });
  const invite = button(t("proposal.button", { email }), { class: "button", problems, "data-key": "proposal" }, async () => {
    const input = { communityId: community.id, email: proposedEmail, role, ...(message && { message }), ...(locale && { locale }) };
    const { inviteMember: answer } = await ask(api.INVITE, { input });
    const there = answer.invitation?.id;
    if (!there) return showProblem(context, /** @type {import("../api.js").Problem} */ (answer), problems);
    context.setFlash({
      kind: "done",
      text: answer.__typename === "AlreadyInvited" ? t("proposal.already", { email }) : t("proposal.done", { email }),
    });
    location.hash = `/communities/${community.id}/invitations/${there}`;
  });
  return h(
    "div",
    { class: "notice" },
    h("p", null, rich("proposal", { email: isolated(email) })),
    h("div", { class: "actions" }, invite),
    problems,
  );
}

// ------------------------------------------------------------------------------------------------------------- actions

/**
 * @param {ViewContext} context
 * @param {Invitation} shown
 * @param {MessageArea} area
 */
function actions(context, shown, area) {
  const problems = h("div", { class: "problems" });
  const children = [
    shown.canResend &&
      button(
        t("invitation.resend"),
        { class: "button primary", problems, "data-key": "resend", "aria-describedby": "resend-hint" },
        () => resend(context, shown, area),
      ),
    shown.canRevoke &&
      button(t("invitation.revoke"), { class: "button", "data-key": "revoke" }, () => askToRevoke(context, shown, area)),
    canInviteAgain(shown) &&
      h(
        "a",
        {
          class: shown.canResend ? "button" : "button primary",
          href: `#/communities/${shown.community.id}?again=${shown.id}`,
          "data-key": "again",
        },
        t("invitation.again"),
      ),
    shown.canResendAt &&
      h(
        "p",
        { class: "hint" },
        rich("invitation.resend.soon", { when: timeUntil(shown.canResendAt, () => void area.refresh().catch(ignore)) }),
      ),
    shown.canResend && h("p", { class: "hint", id: "resend-hint" }, t("invitation.resend.hint")),
  ];
  return children.some(Boolean) ? h("div", { class: "actions wide" }, ...children, problems) : null;
}

/**
 * Whether a new invitation can replace a closed one. A declined one must be one that can be sent again: its address is neither
 * blocked nor invited by now.
 * @param {Invitation} shown
 */
const canInviteAgain = ({ status, erasedAt, canResend, canResendAt }) =>
  erasedAt === null && (["EXPIRED", "REVOKED"].includes(status) || (status === "DECLINED" && (canResend || canResendAt !== null)));

/**
 * @param {ViewContext} context
 * @param {Invitation} shown
 * @param {MessageArea} area
 */
async function resend(context, shown, area) {
  const { resendInvite: answer } = await ask(api.RESEND, { input: { invitationId: shown.id } });
  if ("invitation" in answer) return showResult(area, notice("done", t("invitation.resent", { email: shown.displayEmail })));
  if (answer.__typename === "NotSignedIn") return context.endSession();
  return showResult(area, notice("problem", ...problemWords(answer)));
}

/**
 * @param {ViewContext} context
 * @param {Invitation} shown
 * @param {MessageArea} area
 */
function askToRevoke(context, shown, area) {
  const words = {
    title: t("invitation.revoke.title"),
    text: rich("invitation.revoke.text", { email: isolated(shown.displayEmail) }),
    yes: t("invitation.revoke"),
    no: t("invitation.revoke.keep"),
  };
  confirm(words, async (problems) => {
    const { revokeInvite: answer } = await ask(api.REVOKE, { input: { invitationId: shown.id } });
    if ("invitation" in answer) {
      await showResult(area, notice("done", t("invitation.revoked", { email: shown.displayEmail })));
      return true;
    }
    await showProblem(context, answer, problems);
    return answer.__typename === "NotSignedIn";
  });
}

/**
 * @param {MessageArea} area
 * @param {HTMLElement} words the result of the action
 */
async function showResult({ message, refresh }, words) {
  message.replaceChildren(words);
  message.hidden = false;
  await refresh();
  announce(words.textContent ?? "");
}

// --------------------------------------------------------------------------------------------------------------- facts

/** @param {Invitation} shown */
function facts(shown) {
  /** @type {[string, Child | Child[]][]} */
  const known = [
    [t("invitation.role"), t(`invite.role.${shown.role}`)],
    [t("invitation.inviter"), shown.inviter ? person(shown.inviter) : t("invitation.operator")],
    [t("invitation.created"), formatTime(shown.createdAt)],
    [t("invitation.expires"), shown.status === "PENDING" ? formatTime(shown.expiresAt) : null],
    [t("invitation.delivery"), delivery(shown)],
    [t("invitation.accepted_by"), shown.acceptedBy && person(shown.acceptedBy)],
    [t("invitation.revoked_by"), shown.revokedBy && person(shown.revokedBy)],
    [t("invitation.proposed"), shown.proposedEmail && address(shown.proposedEmail, shown.displayProposedEmail ?? shown.proposedEmail)],
    [t("invitation.language"), shown.locale && languageName(shown.locale)],
    [t("invitation.message"), shown.message && h("span", { class: "message", dir: "auto" }, shown.message)],
  ];
  const list = known
    .filter(([, value]) => value)
    .map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)));
  return h("section", null, h("h2", null, t("invitation.facts")), h("dl", null, ...list));
}

/** @param {Invitation} shown */
function delivery(shown) {
  if (shown.delivery === "CANCELLED") return deliveryWords(shown);
  const at = shown.delivery === "DELIVERED" ? shown.deliveredAt : shown.lastSentAt;
  const reason = TROUBLE.includes(shown.delivery) ? null : shown.deliveryReason;
  const hint = reason && h("span", { class: "hint" }, serviceText(reason));
  return [...deliveryWords(shown), at && [" · ", timeAgo(at)], hint].flat();
}

/** @param {Member} member */
const person = ({ name, displayEmail }) => isolated(name ?? displayEmail ?? t("members.nameless"));

/** @param {string} tag */
function languageName(tag) {
  try {
    return new Intl.DisplayNames(navigator.languages, { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

// ------------------------------------------------------------------------------------------------------------ timeline

/**
 * @param {Invitation} shown
 * @param {AbortSignal} signal
 */
function timelinePanel({ id, timeline }, signal) {
  const events = h("ol", { class: "timeline" }, timeline.nodes.map(event));
  let page = timeline.pageInfo;
  const more = moreButton(async () => {
    const next = (await read(id, signal, page.endCursor)).invitation?.timeline;
    page = next?.pageInfo ?? { hasNextPage: false, endCursor: null };
    const items = (next?.nodes ?? []).map(event);
    items[0]?.setAttribute("tabindex", "-1");
    events.append(...items);
    return { first: items[0], count: items.length, more: page.hasNextPage };
  });
  return h("section", null, h("h2", null, t("invitation.timeline")), events, page.hasNextPage && more);
}

/** @param {AuditEvent} auditEvent */
function event(auditEvent) {
  const { kind, at } = auditEvent;
  const tone =
    kind.endsWith("refused") || kind.endsWith("failed") || kind.endsWith("suppressed") ? "trouble" : kind.replace(/^.*\./, "");
  return h("li", { class: tone }, serviceText(auditEvent.summary), h("time", { datetime: at }, formatTime(at)));
}

// -------------------------------------------------------------------------------------------------------------- liveness

/** @param {unknown} error */
function ignore(error) {
  if (!(error instanceof RequestFailed)) throw error;
}

/**
 * Loads the invitation again after each change. Waits while a dialog is open.
 * @param {ViewContext} context
 * @param {Invitation} shown
 * @param {() => Promise<unknown>} refresh
 */
function refreshOnChange({ signal }, { id, community }, refresh) {
  const refreshUnlessAsking = async () => {
    if (!document.querySelector("dialog[open]")) await refresh();
  };
  document.addEventListener("close", () => void refreshUnlessAsking().catch(ignore), { capture: true, signal });
  void followInvitations(community.id, {
    signal,
    onChange: (invitation) => void (invitation.id === id && refreshUnlessAsking().catch(ignore)),
    catchUp: refreshUnlessAsking,
    onState: () => {},
  });
}

/**
 * Renders the view again and restores the focus.
 * @param {() => void} draw
 */
function withFocusKept(draw) {
  const focused = document.activeElement?.closest("main") ? document.activeElement : null;
  const key = focused?.getAttribute("data-key");
  draw();
  const next = (key ? document.querySelector(`[data-key="${key}"]`) : null) ?? (focused ? document.querySelector("h1") : null);
  if (next instanceof HTMLElement) next.focus({ preventScroll: true });
}
