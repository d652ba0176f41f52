// One community as its admins see it: inviting, how far it came, and what became of every invitation. Members see the members.

import { Unanswered, ask } from "../api.js";
import * as api from "../operations.js";
import { announce, button, h, notice, part } from "../page.js";
import { t } from "../words.js";
import { drawFunnel, funnelPlace } from "./funnel.js";
import { FilterForm, asksNothing, matches, wantedIn } from "./invitation-filter.js";
import { InvitationRows } from "./invitation-rows.js";
import { inviteForm } from "./invite-form.js";
import { follow } from "./live.js";
import { members } from "./members.js";
import { facts, gone, moreButton, showPlace } from "./place.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").Invitation} Invitation */
/** @typedef {import("../operations.js").WithInvitations} WithInvitations */

const PAGE = 50;
const MOST = 100;
const KEPT = 1_000;
const SOON_MS = 400;
const FUNNEL_MS = 4_000;

/** @type {import("../console.js").View} */
export async function community(context, id = "") {
  const answer = await ask(api.INVITATIONS, { id, filter: wantedIn(context.asked), first: PAGE, after: null });
  if (context.left.aborted) return;
  if (!answer.community) return gone(context, answer);
  return isReadable(answer.community) ? new Invitations(context, answer.community).show() : members(context, id);
}

/** @typedef {WithInvitations & { invitations: NonNullable<WithInvitations["invitations"]> }} Readable */

/**
 * Whether the reader may see the invitations: members may not.
 * @param {WithInvitations} place
 * @returns {place is Readable}
 */
const isReadable = (place) => place.invitations !== null;

/** The invitations that are asked for, and everything that is told beside them. */
class Invitations {
  total = 0;
  /** Numbers all questions and changes in the order in which they were asked and came. */
  step = 0;
  /** Of several questions for the list only the answer to the newest counts. */
  asking = 0;
  /** The question whose numbers are shown: those of an older one are no news. */
  tallied = 0;
  /** @type {Map<string, { invitation: Invitation, step: number }>} The newest change of each: an older answer lacks it. */
  changes = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  tallying;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  drawing;

  /**
   * @param {ViewContext} context
   * @param {Readable} place
   */
  constructor(context, place) {
    this.context = context;
    this.place = place;
    this.wanted = wantedIn(context.asked);
    this.rows = new InvitationRows(place.id, place.invitations.nodes);
    this.page = place.invitations.pageInfo;
    this.problems = h("div", { class: "problems" });
    this.filter = new FilterForm(context.asked, (asked, how) => void this.#narrow(asked, how));
    this.funnel = funnelPlace();
    this.count = h("span", { class: "quiet", id: "invitation-count" });
    this.live = h("span", { class: "quiet", role: "status" });
    this.empty = h("div", { class: "empty" });
    this.nothing = emptiness();
    this.noMatch = this.#noMatch();
    this.more = moreButton(() => this.#further());
  }

  show() {
    const { context, place } = this;
    // What is known of a new invitation already may be newer than the answer that made it.
    const invited = (/** @type {Invitation} */ invitation) => void (this.changes.has(invitation.id) || this.#changed(invitation));
    const title = h(
      "div",
      { class: "section-head" },
      h("h2", null, t("invitations.title")),
      this.live,
      this.count,
      exportLink(place.id),
    );
    this.#tally(place, this.step);
    this.more.hidden = !this.page.hasNextPage;
    showPlace(place, "invitations", [
      context.flash(),
      inviteForm(context, place, invited),
      this.funnel,
      title,
      this.filter.element,
      this.problems,
      this.empty,
      this.rows.element,
      this.more,
    ]);
    void this.#draw();
    void follow(place.id, {
      left: context.left,
      changed: (invitation) => this.#changed(invitation),
      catchUp: () => this.#catchUp(),
      told: (live) => this.live.replaceChildren(...(live ? [] : [t("live.waiting")])),
    });
  }

  // ------------------------------------------------------------------------------------------------------ asking

  /**
   * Shows what a changed filter asks for.
   * @param {URLSearchParams} asked
   * @param {{ step: boolean }} how
   */
  async #narrow(asked, how) {
    // What was typed last may come to its end after the view: the address is another's by then.
    if (this.context.left.aborted) return;
    this.context.address(asked, how);
    const wanted = (this.wanted = wantedIn(asked));
    const question = (this.asking = ++this.step);
    this.problems.replaceChildren();
    this.rows.element.setAttribute("aria-busy", "true");
    try {
      const fresh = await this.#read(null, PAGE);
      if (!fresh || question !== this.asking) return;
      this.#list(fresh, fresh.invitations.nodes, question);
      announce(t("invitations.count", { count: this.total }));
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      if (wanted !== this.wanted) return;
      this.rows.element.removeAttribute("aria-busy");
      this.problems.replaceChildren(notice("problem", error.message));
    }
  }

  /**
   * Shows these and no others, as they are by now.
   * @param {Readable} fresh the last page of them
   * @param {Invitation[]} nodes
   * @param {number} question
   */
  #list(fresh, nodes, question) {
    this.rows.element.removeAttribute("aria-busy");
    this.problems.replaceChildren();
    this.rows.replace(nodes);
    this.page = fresh.invitations.pageInfo;
    this.#tally(fresh, question);
    this.more.hidden = !this.page.hasNextPage;
    this.#bringUpToDate(question);
  }

  /** @param {number} question that what changed since was not known to */
  #bringUpToDate(question) {
    for (const { invitation, step } of this.changes.values()) if (step > question) this.#put(invitation);
  }

  /**
   * @param {string | null} after
   * @param {number} first
   */
  async #read(after, first) {
    const answer = await ask(api.INVITATIONS, { id: this.place.id, filter: this.wanted, first, after });
    if (this.context.left.aborted) return null;
    if (!answer.viewer) void this.context.signedOut();
    else if (!answer.community || !isReadable(answer.community)) void this.context.again();
    else return answer.community;
    return null;
  }

  /** Asks anew for all that is shown: changes may have been missed. */
  async #catchUp() {
    const question = (this.asking = ++this.step);
    const nodes = [];
    let after = null;
    for (;;) {
      const fresh = await this.#read(after, Math.min(MOST, Math.max(PAGE, this.rows.size - nodes.length)));
      if (!fresh || question !== this.asking) return;
      nodes.push(...fresh.invitations.nodes);
      const { endCursor, hasNextPage } = fresh.invitations.pageInfo;
      after = endCursor;
      if (nodes.length < this.rows.size && hasNextPage) continue;
      this.#list(fresh, nodes, question);
      void this.#draw();
      return;
    }
  }

  /** @returns {Promise<{ first: HTMLElement | undefined, count: number, more: boolean }>} */
  async #further() {
    const { wanted, asking } = this;
    const question = ++this.step;
    const fresh = await this.#read(this.page.endCursor, PAGE);
    if (!fresh || wanted !== this.wanted) return { first: undefined, count: 0, more: this.page.hasNextPage };
    // The list was asked for anew meanwhile, and may end elsewhere.
    if (asking !== this.asking) return this.#further();
    const { nodes, pageInfo } = fresh.invitations;
    this.page = pageInfo;
    const first = this.rows.append(nodes);
    this.#bringUpToDate(question);
    return { first, count: nodes.length, more: pageInfo.hasNextPage };
  }

  // ------------------------------------------------------------------------------------------------------ changes

  /** @param {Invitation} invitation */
  #changed(invitation) {
    // The newest comes last, and a page that is open for days keeps the last ones only: no question takes longer than those.
    this.changes.delete(invitation.id);
    this.changes.set(invitation.id, { invitation, step: ++this.step });
    if (this.changes.size > KEPT) this.changes.delete(this.changes.keys().next().value ?? "");
    this.#put(invitation);
    this.tallying ??= setTimeout(() => void this.#recount().catch(ignore), SOON_MS);
    this.drawing ??= setTimeout(() => void this.#draw(), FUNNEL_MS);
  }

  /** @param {Invitation} invitation */
  #put(invitation) {
    if (matches(invitation, this.wanted)) this.rows.put(invitation, { further: this.page.hasNextPage });
    else this.rows.remove(invitation.id);
  }

  async #recount() {
    this.tallying = undefined;
    const { wanted } = this;
    const question = ++this.step;
    const { community } = await ask(api.TALLY, { id: this.place.id, filter: wanted });
    if (this.context.left.aborted || !community || wanted !== this.wanted) return;
    part("place-facts").textContent = facts(community.viewerRole, community.memberCount);
    this.#tally(community, question);
  }

  async #draw() {
    this.drawing = undefined;
    if (!this.context.left.aborted) await drawFunnel(this.place.id, this.funnel).catch(ignore);
  }

  /**
   * @param {{ invitationCounts: import("../operations.js").Counts | null, invitations: { totalCount: number } }} place
   * @param {number} question
   */
  #tally({ invitationCounts, invitations: { totalCount: total } }, question) {
    if (question < this.tallied) return;
    this.tallied = question;
    this.total = total;
    const all = Object.values(invitationCounts ?? {}).reduce((sum, number) => sum + number, 0);
    const narrowed = !asksNothing(this.wanted);
    this.filter.count(invitationCounts);
    this.filter.element.hidden = all === 0 && !narrowed;
    this.count.textContent = narrowed ? t("invitations.of", { count: total, all }) : t("invitations.count", { count: total });
    this.count.hidden = all === 0;
    this.rows.element.hidden = total === 0;
    this.empty.hidden = total > 0;
    // Put there once: who is about to press its button keeps it.
    const told = narrowed ? this.noMatch : this.nothing;
    if (this.empty.firstChild !== told[0]) this.empty.replaceChildren(...told);
  }

  #noMatch() {
    const clear = button(t("filter.clear"), { class: "button small" }, () => this.filter.clear());
    return [h("h3", null, t("invitations.none.title")), h("p", null, t("invitations.none")), clear];
  }
}

const emptiness = () => [h("h3", null, t("invitations.empty.title")), h("p", null, t("invitations.empty"))];

/** @param {string} id */
const exportLink = (id) =>
  h("a", { class: "link", href: `/export/${id}/invitations.csv`, download: "invitations.csv" }, t("export"));

/** @param {unknown} error */
function ignore(error) {
  if (!(error instanceof Unanswered)) throw error;
}
