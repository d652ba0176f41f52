// The invitations of a community for its admins: the form, the funnel and the list. Members get the members' view.

import { RequestFailed, ask, latest } from "../api.js";
import * as api from "../operations.js";
import { announce, button, h, notice, elementById } from "../page.js";
import { t } from "../words.js";
import { exportLink } from "./export-link.js";
import { drawFunnel, funnelPanel } from "./funnel.js";
import { FilterForm, isEmptyFilter, matches, filterFrom } from "./invitation-filter.js";
import { InvitationRows } from "./invitation-rows.js";
import { inviteForm } from "./invite-form.js";
import { followInvitations } from "./subscription.js";
import { members } from "./members.js";
import { showFacts, showMissing, moreButton, showCommunityPage } from "./community-page.js";
import { readRows } from "./paged-list.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").Invitation} Invitation */
/** @typedef {import("../operations.js").CommunityWithInvitations} CommunityWithInvitations */

const AGAIN = "again";
const PAGE = 50;
const MOST = 100;
const SOON_MS = 400;
const FUNNEL_MS = 4_000;

/** @type {import("../console.js").View} */
export async function invitations(context, id = "") {
  const { query, signal } = context;
  const filter = filterFrom(query);
  let answer = /** @type {import("../../operation-types").InvitationsData} */ ({});
  /** @type {import("./paged-list.js").ReadPage<Invitation>} */
  const read = async ({ after, first }, signal) => {
    answer = await ask(api.INVITATIONS, { id, filter, first, after }, { signal });
    return answer.community?.invitations ?? null;
  };
  const funnel = funnelPanel();
  // The funnel stands above the rows. A reader who comes back to a row finds both at their place.
  const drawing = context.rows > 0 ? drawFunnel(id, funnel, signal).catch(ignore) : null;
  const [page, earlier] = await Promise.all([readRows(read, context.rows, signal), readEarlier(id, query, signal), drawing]);
  if (!answer.community) return showMissing(context, answer);
  if (!page || !hasInvitations(answer.community)) return members(context, id);
  return new Invitations(context, { ...answer.community, invitations: { ...answer.community.invitations, ...page } }, funnel).show(earlier);
}

/**
 * The invitation that the reader wants to make again, if the address names one of this community.
 * @param {string} communityId
 * @param {URLSearchParams} query
 * @param {AbortSignal} signal
 */
async function readEarlier(communityId, query, signal) {
  const id = query.get(AGAIN);
  if (!id) return null;
  const { invitation } = await ask(api.EARLIER_INVITATION, { id }, { signal });
  return invitation?.community.id === communityId ? invitation : null;
}

/** @typedef {CommunityWithInvitations & { invitations: NonNullable<CommunityWithInvitations["invitations"]> }} CommunityWithReadableInvitations */

/**
 * Whether the reader may read the invitations. Members may not.
 * @param {CommunityWithInvitations} community
 * @returns {community is CommunityWithReadableInvitations}
 */
const hasInvitations = (community) => community.invitations !== null;

/** The list of invitations with its filter, counts and funnel. */
class Invitations {
  total = 0;
  /** @type {Set<string>} The ids of the invitations that the subscription reported. */
  reported = new Set();
  /** @type {Set<Map<string, Invitation>>} For each running request, the changes since it began: its answer may lack them. */
  collecting = new Set();
  /** @type {Promise<unknown>} The newest request for the list. */
  listed = Promise.resolve();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  countTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  funnelTimer;

  /**
   * @param {ViewContext} context
   * @param {CommunityWithReadableInvitations} community
   * @param {HTMLElement} funnel
   */
  constructor(context, community, funnel) {
    this.context = context;
    this.community = community;
    this.listing = latest(context.signal);
    this.paging = latest(context.signal);
    this.counting = latest(context.signal);
    this.drawings = latest(context.signal);
    this.filterInput = filterFrom(context.query);
    this.rows = new InvitationRows(community.id, community.invitations.nodes);
    this.page = community.invitations.pageInfo;
    this.problems = h("div", { class: "problems" });
    this.filter = new FilterForm(context.query, (query, how) => void this.#applyFilter(query, how));
    this.exportLink = exportLink(community.id, "invitations", this.filterInput);
    this.funnel = funnel;
    this.count = h("span", { class: "quiet", id: "invitation-count" });
    this.live = h("span", { class: "quiet", role: "status" });
    this.empty = h("div", { class: "empty" });
    this.nothing = emptyMessage();
    this.noMatch = this.#noMatch();
    this.more = moreButton(() => this.#showMore());
  }

  /** @param {import("../operations.js").EarlierInvitation | null} earlier the invitation to make again */
  show(earlier) {
    const { context, community } = this;
    const onInvited = (/** @type {Invitation} */ invitation) => {
      // The subscription may have reported a newer state of the invitation than the answer to its mutation.
      if (!this.reported.has(invitation.id)) this.#applyChange(invitation);
      if (earlier) context.setQuery(this.filter.query());
    };
    const title = h(
      "div",
      { class: "section-head" },
      h("h2", null, t("invitations.title")),
      this.live,
      this.count,
      this.exportLink.element,
    );
    this.#showCounts(community);
    this.more.hidden = !this.page.hasNextPage;
    showCommunityPage(community, "invitations", [
      context.takeFlash(),
      inviteForm(context, community, earlier, onInvited),
      this.funnel,
      title,
      this.filter.element,
      this.problems,
      this.empty,
      this.rows.element,
      this.more,
    ]);
    if (earlier) elementById("view").querySelector("input")?.focus();
    void this.#draw();
    void followInvitations(community.id, {
      signal: context.signal,
      onChange: (invitation) => {
        this.reported.add(invitation.id);
        this.#applyChange(invitation);
      },
      catchUp: () => this.#catchUp(),
      onState: (live) => this.live.replaceChildren(...(live ? [] : [t("live.waiting")])),
    });
  }

  // ------------------------------------------------------------------------------------------------------ asking

  /**
   * Applies a changed filter.
   * @param {URLSearchParams} query
   * @param {{ step: boolean }} how
   */
  async #applyFilter(query, how) {
    // The delay after typing may end after the view was left.
    if (this.context.signal.aborted) return;
    this.context.setQuery(query, how);
    this.filterInput = filterFrom(query);
    this.exportLink.follow(this.filterInput);
    this.problems.replaceChildren();
    this.rows.element.setAttribute("aria-busy", "true");
    await this.#load(async (signal) => {
      try {
        const fresh = await this.#read(null, PAGE, signal);
        if (!fresh) return;
        this.#replaceRows(fresh, fresh.invitations.nodes);
        announce(t("invitations.count", { count: this.total }));
      } catch (error) {
        if (!(error instanceof RequestFailed)) throw error;
        this.rows.element.removeAttribute("aria-busy");
        this.problems.replaceChildren(notice("problem", error.message));
      }
    });
  }

  /**
   * Runs a request for the list. It replaces the other requests: their answers would be older.
   * @param {(signal: AbortSignal) => Promise<void>} task
   */
  #load(task) {
    this.paging.abort();
    this.counting.abort();
    const run = this.listing.run((signal) => this.#collect(() => task(signal)));
    this.listed = run.catch(() => {});
    return run;
  }

  /**
   * Runs a request, and afterwards shows again the changes that arrived while it ran: its answer may be older.
   * @template Result
   * @param {() => Promise<Result>} task
   * @returns {Promise<Result>}
   */
  async #collect(task) {
    /** @type {Map<string, Invitation>} */
    const changes = new Map();
    this.collecting.add(changes);
    try {
      return await task();
    } finally {
      this.collecting.delete(changes);
      for (const invitation of changes.values()) this.#put(invitation);
      if (changes.size > 0) this.#recountSoon();
    }
  }

  /**
   * Replaces the rows of the list.
   * @param {CommunityWithReadableInvitations} fresh the last page
   * @param {Invitation[]} nodes
   */
  #replaceRows(fresh, nodes) {
    this.rows.element.removeAttribute("aria-busy");
    this.problems.replaceChildren();
    this.rows.replace(nodes);
    this.page = fresh.invitations.pageInfo;
    showFacts(fresh);
    this.#showCounts(fresh);
    this.more.hidden = !this.page.hasNextPage;
  }

  /**
   * @param {string | null} after
   * @param {number} first
   * @param {AbortSignal} signal
   */
  async #read(after, first, signal) {
    const variables = { id: this.community.id, filter: this.filterInput, first, after };
    const answer = await ask(api.INVITATIONS, variables, { signal });
    if (!answer.viewer) void this.context.endSession();
    else if (!answer.community || !hasInvitations(answer.community)) void this.context.reload();
    else return answer.community;
    return null;
  }

  /** Loads every shown row again: the subscription replays nothing after a reconnect. */
  #catchUp = () =>
    this.#load(async (signal) => {
      const nodes = [];
      let after = null;
      for (;;) {
        const fresh = await this.#read(after, Math.min(MOST, Math.max(PAGE, this.rows.size - nodes.length)), signal);
        if (!fresh) return;
        nodes.push(...fresh.invitations.nodes);
        const { endCursor, hasNextPage } = fresh.invitations.pageInfo;
        after = endCursor;
        if (nodes.length < this.rows.size && hasNextPage) continue;
        this.#replaceRows(fresh, nodes);
        void this.#draw();
        return;
      }
    });

  /** @returns {Promise<{ first: HTMLElement | undefined, count: number, more: boolean }>} */
  async #showMore() {
    const { filterInput } = this;
    const fresh = await this.paging.run((signal) => this.#collect(() => this.#append(signal)));
    if (fresh) return fresh;
    await this.listed;
    // A list that was loaded again may end at another row.
    const again = fresh === undefined && filterInput === this.filterInput && !this.context.signal.aborted;
    return again ? this.#showMore() : { first: undefined, count: 0, more: this.page.hasNextPage };
  }

  /** @param {AbortSignal} signal */
  async #append(signal) {
    const fresh = await this.#read(this.page.endCursor, PAGE, signal);
    if (!fresh) return null;
    const { nodes, pageInfo } = fresh.invitations;
    this.page = pageInfo;
    return { first: this.rows.append(nodes), count: nodes.length, more: pageInfo.hasNextPage };
  }

  // ------------------------------------------------------------------------------------------------------ changes

  /** @param {Invitation} invitation */
  #applyChange(invitation) {
    for (const changes of this.collecting) changes.set(invitation.id, invitation);
    this.#put(invitation);
    this.#recountSoon();
    this.funnelTimer ??= setTimeout(() => void this.#draw(), FUNNEL_MS);
  }

  /** @param {Invitation} invitation */
  #put(invitation) {
    if (matches(invitation, this.filterInput)) this.rows.put(invitation, { hasMore: this.page.hasNextPage });
    else this.rows.remove(invitation.id);
  }

  #recountSoon() {
    this.countTimer ??= setTimeout(() => void this.#recount().catch(ignore), SOON_MS);
  }

  #recount() {
    this.countTimer = undefined;
    return this.counting.run(async (signal) => {
      const { community } = await ask(api.COUNTS, { id: this.community.id, filter: this.filterInput }, { signal });
      if (!community) return;
      showFacts(community);
      this.#showCounts(community);
    });
  }

  async #draw() {
    this.funnelTimer = undefined;
    await this.drawings.run((signal) => drawFunnel(this.community.id, this.funnel, signal)).catch(ignore);
  }

  /**
   * @param {import("../../operation-types").CountsCommunity} community
   */
  #showCounts({ invitationCounts, invitations }) {
    const total = (this.total = invitations?.totalCount ?? 0);
    const all = Object.values(invitationCounts ?? {}).reduce((sum, number) => sum + number, 0);
    const isFiltered = !isEmptyFilter(this.filterInput);
    this.filter.count(invitationCounts);
    this.filter.element.hidden = all === 0 && !isFiltered;
    this.count.textContent = isFiltered ? t("invitations.of", { count: total, all }) : t("invitations.count", { count: total });
    this.count.hidden = all === 0;
    this.rows.element.hidden = total === 0;
    this.empty.hidden = total > 0;
    // Replaced only on a change: its button may have the focus.
    const message = isFiltered ? this.noMatch : this.nothing;
    if (this.empty.firstChild !== message[0]) this.empty.replaceChildren(...message);
  }

  #noMatch() {
    const clear = button(t("filter.clear"), { class: "button small" }, () => this.filter.clear());
    return [h("h3", null, t("invitations.none.title")), h("p", null, t("invitations.none")), clear];
  }
}

const emptyMessage = () => [h("h3", null, t("invitations.empty.title")), h("p", null, t("invitations.empty"))];

/** @param {unknown} error */
function ignore(error) {
  if (!(error instanceof RequestFailed)) throw error;
}
