// One community as its admins see it: inviting, how far it came, and what became of every invitation. Members see the members.

import { Unanswered, ask, latest } from "../api.js";
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
/** @typedef {import("../operations.js").CommunityWithInvitations} CommunityWithInvitations */

const PAGE = 50;
const MOST = 100;
const SOON_MS = 400;
const FUNNEL_MS = 4_000;

/** @type {import("../console.js").View} */
export async function community(context, id = "") {
  const variables = { id, filter: wantedIn(context.asked), first: PAGE, after: null };
  const answer = await ask(api.INVITATIONS, variables, { signal: context.signal });
  if (!answer.community) return gone(context, answer);
  return isReadable(answer.community) ? new Invitations(context, answer.community).show() : members(context, id);
}

/** @typedef {CommunityWithInvitations & { invitations: NonNullable<CommunityWithInvitations["invitations"]> }} Readable */

/**
 * Whether the reader may see the invitations: members may not.
 * @param {CommunityWithInvitations} place
 * @returns {place is Readable}
 */
const isReadable = (place) => place.invitations !== null;

/** The invitations that are asked for, and everything that is told beside them. */
class Invitations {
  total = 0;
  /** @type {Set<string>} The ids of the invitations that the subscription reported. */
  reported = new Set();
  /** @type {Set<Map<string, Invitation>>} For each running request, the changes since it began: its answer may lack them. */
  collecting = new Set();
  /** @type {Promise<unknown>} The newest request for the list. */
  listed = Promise.resolve();
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
    this.listing = latest(context.signal);
    this.paging = latest(context.signal);
    this.counting = latest(context.signal);
    this.drawings = latest(context.signal);
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
    // The subscription may have reported a newer state of the invitation than the answer to its mutation.
    const invited = (/** @type {Invitation} */ invitation) => void (this.reported.has(invitation.id) || this.#changed(invitation));
    const title = h(
      "div",
      { class: "section-head" },
      h("h2", null, t("invitations.title")),
      this.live,
      this.count,
      exportLink(place.id),
    );
    this.#tally(place);
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
      signal: context.signal,
      changed: (invitation) => {
        this.reported.add(invitation.id);
        this.#changed(invitation);
      },
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
    if (this.context.signal.aborted) return;
    this.context.address(asked, how);
    this.wanted = wantedIn(asked);
    this.problems.replaceChildren();
    this.rows.element.setAttribute("aria-busy", "true");
    await this.#load(async (signal) => {
      try {
        const fresh = await this.#read(null, PAGE, signal);
        if (!fresh) return;
        this.#list(fresh, fresh.invitations.nodes);
        announce(t("invitations.count", { count: this.total }));
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error;
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
   * @param {Readable} fresh the last page
   * @param {Invitation[]} nodes
   */
  #list(fresh, nodes) {
    this.rows.element.removeAttribute("aria-busy");
    this.problems.replaceChildren();
    this.rows.replace(nodes);
    this.page = fresh.invitations.pageInfo;
    this.#tally(fresh);
    this.more.hidden = !this.page.hasNextPage;
  }

  /**
   * @param {string | null} after
   * @param {number} first
   * @param {AbortSignal} signal
   */
  async #read(after, first, signal) {
    const variables = { id: this.place.id, filter: this.wanted, first, after };
    const answer = await ask(api.INVITATIONS, variables, { signal });
    if (!answer.viewer) void this.context.signedOut();
    else if (!answer.community || !isReadable(answer.community)) void this.context.again();
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
        this.#list(fresh, nodes);
        void this.#draw();
        return;
      }
    });

  /** @returns {Promise<{ first: HTMLElement | undefined, count: number, more: boolean }>} */
  async #further() {
    const { wanted } = this;
    const fresh = await this.paging.run((signal) => this.#collect(() => this.#append(signal)));
    if (fresh) return fresh;
    await this.listed;
    // A list that was loaded again may end at another row.
    const again = fresh === undefined && wanted === this.wanted && !this.context.signal.aborted;
    return again ? this.#further() : { first: undefined, count: 0, more: this.page.hasNextPage };
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
  #changed(invitation) {
    for (const changes of this.collecting) changes.set(invitation.id, invitation);
    this.#put(invitation);
    this.#recountSoon();
    this.drawing ??= setTimeout(() => void this.#draw(), FUNNEL_MS);
  }

  /** @param {Invitation} invitation */
  #put(invitation) {
    if (matches(invitation, this.wanted)) this.rows.put(invitation, { further: this.page.hasNextPage });
    else this.rows.remove(invitation.id);
  }

  #recountSoon() {
    this.tallying ??= setTimeout(() => void this.#recount().catch(ignore), SOON_MS);
  }

  #recount() {
    this.tallying = undefined;
    return this.counting.run(async (signal) => {
      const { community } = await ask(api.TALLY, { id: this.place.id, filter: this.wanted }, { signal });
      if (!community) return;
      part("place-facts").textContent = facts(community.viewerRole, community.memberCount);
      this.#tally(community);
    });
  }

  async #draw() {
    this.drawing = undefined;
    await this.drawings.run((signal) => drawFunnel(this.place.id, this.funnel, signal)).catch(ignore);
  }

  /**
   * @param {import("../../operation-types").TallyCommunity} community
   */
  #tally({ invitationCounts, invitations }) {
    const total = (this.total = invitations?.totalCount ?? 0);
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
