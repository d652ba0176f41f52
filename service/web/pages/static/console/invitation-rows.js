// The rows of the invitations by id. A change replaces a row's content only, so the focus stays.

import { address, h, isolated, serviceText } from "../page.js";
import { timeAgo } from "../times.js";
import { formatDay, rich, t } from "../words.js";

/** @typedef {import("../operations.js").Invitation} Invitation */
/** @typedef {import("../page.js").Child} Child */

/** @type {import("../operations.js").Delivery[]} */
export const TROUBLE = ["BOUNCED", "COMPLAINED", "SUPPRESSED", "FAILED"];

/**
 * The order of the API's pages: by time, then by id.
 * @param {Invitation} a
 * @param {Invitation} b
 */
function newestFirst(a, b) {
  const [before, after] = a.createdAt === b.createdAt ? [a.id, b.id] : [a.createdAt, b.createdAt];
  return before > after ? -1 : Number(before < after);
}

export class InvitationRows {
  /** @type {Map<string, { invitation: Invitation, item: HTMLLIElement, link: HTMLAnchorElement }>} */
  #rows = new Map();

  /**
   * @param {string} communityId
   * @param {Invitation[]} invitations newest first
   */
  constructor(communityId, invitations) {
    this.communityId = communityId;
    this.element = h("ul", { class: "rows", "aria-labelledby": "invitation-count" });
    this.append(invitations);
  }

  get size() {
    return this.#rows.size;
  }

  /**
   * Updates the row of an invitation, or inserts a row at its position.
   * @param {Invitation} invitation
   * @param {{ hasMore: boolean }} list whether the list continues below the last row
   */
  put(invitation, { hasMore }) {
    const row = this.#rows.get(invitation.id);
    if (row) return this.#change(row, invitation);
    const older = [...this.#rows.values()].find((known) => newestFirst(invitation, known.invitation) < 0);
    if (!older && hasMore) return;
    const item = this.#add(invitation);
    this.element.insertBefore(item, older?.item ?? null);
    this.#sort();
  }

  /**
   * Replaces the list. Rows that stay keep their elements.
   * @param {Invitation[]} invitations newest first
   */
  replace(invitations) {
    const ids = new Set(invitations.map(({ id }) => id));
    for (const id of [...this.#rows.keys()].filter((id) => !ids.has(id))) this.remove(id);
    for (const invitation of invitations) {
      const row = this.#rows.get(invitation.id);
      if (row) this.#change(row, invitation);
      else this.element.append(this.#add(invitation));
    }
    this.#sort();
    for (const [index, { item }] of [...this.#rows.values()].entries()) {
      if (this.element.children[index] !== item) this.element.insertBefore(item, this.element.children[index] ?? null);
    }
  }

  /** @param {string} id */
  remove(id) {
    const row = this.#rows.get(id);
    // A row with the focus stays until the focus moves.
    if (!row || row.item.contains(document.activeElement)) return;
    row.item.remove();
    this.#rows.delete(id);
  }

  /**
   * @param {Invitation[]} invitations older than the others
   * @returns {HTMLElement | undefined} the first new row
   */
  append(invitations) {
    const fresh = invitations.filter(({ id }) => !this.#rows.has(id));
    this.element.append(...fresh.map((invitation) => this.#add(invitation)));
    return this.#rows.get(fresh[0]?.id ?? "")?.link;
  }

  /** Sorts the rows, newest first. */
  #sort() {
    this.#rows = new Map([...this.#rows].sort(([, a], [, b]) => newestFirst(a.invitation, b.invitation)));
  }

  /** @param {Invitation} invitation */
  #add(invitation) {
    const link = h(
      "a",
      { class: "row", href: `#/communities/${this.communityId}/invitations/${invitation.id}` },
      content(invitation),
    );
    const item = h("li", null, link);
    this.#rows.set(invitation.id, { invitation, item, link });
    return item;
  }

  /**
   * @param {{ invitation: Invitation, link: HTMLAnchorElement }} row
   * @param {Invitation} invitation
   */
  #change(row, invitation) {
    if (JSON.stringify(row.invitation) === JSON.stringify(invitation)) return;
    row.invitation = invitation;
    row.link.replaceChildren(...content(invitation));
    row.link.classList.add("fresh");
  }
}

/** @param {Invitation} invitation */
function content(invitation) {
  const waiting = invitation.status === "PENDING";
  const reason = waiting ? problemOf(invitation) : null;
  return [
    h("span", { class: "email" }, address(invitation.email, invitation.displayEmail)),
    statusBadge(invitation),
    h("span", { class: "role quiet" }, t(`invite.role.${invitation.role}`)),
    h("span", { class: "progress quiet" }, progress(invitation)),
    reason ? h("span", { class: "reason" }, serviceText(reason)) : "",
    waiting && invitation.displayProposedEmail
      ? h("span", { class: "reason request" }, rich("row.asks", { email: isolated(invitation.displayProposedEmail) }))
      : "",
  ].filter((child) => child !== "");
}

/**
 * Why a pending invitation cannot be accepted or delivered, if that is so.
 * @param {Invitation} invitation
 */
const problemOf = ({ blockedReason, delivery, deliveryReason }) =>
  blockedReason ?? (TROUBLE.includes(delivery) ? deliveryReason : null);

/** @param {Invitation} invitation */
export function statusBadge({ status, blockedReason, delivery }) {
  const shown = blockedReason ? "BLOCKED" : status;
  const trouble = status === "PENDING" && (blockedReason || TROUBLE.includes(delivery));
  return h("span", { class: `badge ${trouble ? "trouble" : status.toLowerCase()}` }, valueWords(`status.${shown}`, status));
}

/**
 * The progress of an invitation: the delivery of its newest mail while it is pending, then the time when it ended.
 * @param {Invitation} invitation
 * @returns {Child[]}
 */
function progress(invitation) {
  const { status, createdAt, expiresAt } = invitation;
  const ended = invitation.acceptedAt ?? invitation.declinedAt ?? invitation.revokedAt;
  if (status === "EXPIRED") return [formatDay(expiresAt)];
  if (status !== "PENDING") return ended ? [timeAgo(ended)] : [];
  return [...deliveryWords(invitation), " · ", ...rich("row.invited", { when: timeAgo(createdAt) })];
}

/**
 * @param {Invitation} invitation
 * @returns {Child[]}
 */
export function deliveryWords({ delivery }) {
  const kind = TROUBLE.includes(delivery) ? "trouble" : delivery.toLowerCase();
  return [h("span", { class: `delivery ${kind}` }, valueWords(`delivery.${delivery}`, delivery))];
}

/**
 * The words of a value of the API. A value without words is shown as it is.
 * @param {string} id
 * @param {string} value
 */
function valueWords(id, value) {
  return t(/** @type {import("../words.js").WordId} */ (id)) || value;
}
