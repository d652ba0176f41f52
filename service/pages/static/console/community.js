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

/** @typedef {import("../console.js").Scene} Scene */
/** @typedef {import("../operations.js").Invitation} Invitation */
/** @typedef {import("../operations.js").WithInvitations} WithInvitations */

const PAGE = 50;
const MOST = 100;
const SOON_MS = 400;
const FUNNEL_MS = 4_000;

/** @type {import("../console.js").View} */
export async function community(scene, id = "") {
  const answer = await ask(api.INVITATIONS, { id, filter: wantedIn(scene.asked), first: PAGE, after: null });
  if (scene.left.aborted) return;
  if (!answer.community) return gone(scene, answer);
  return isReadable(answer.community) ? new Invitations(scene, answer.community).show() : members(scene, id);
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
  /** How many changes were told. */
  heard = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  tallying;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  drawing;

  /**
   * @param {Scene} scene
   * @param {Readable} place
   */
  constructor(scene, place) {
    this.scene = scene;
    this.place = place;
    this.wanted = wantedIn(scene.asked);
    this.rows = new InvitationRows(place.id, place.invitations.nodes);
    this.page = place.invitations.pageInfo;
    this.problems = h("div", { class: "problems" });
    this.filter = new FilterForm(scene.asked, (asked, how) => void this.#narrow(asked, how));
    this.funnel = funnelPlace();
    this.count = h("span", { class: "quiet", id: "invitation-count" });
    this.live = h("span", { class: "quiet", role: "status" });
    this.empty = h("div", { class: "empty" });
    this.more = h("div");
  }

  show() {
    const { scene, place } = this;
    // What was told of it since is newer than the answer.
    const invited = (/** @type {Invitation} */ invitation) => !this.rows.has(invitation.id) && this.#changed(invitation);
    const title = h(
      "div",
      { class: "section-head" },
      h("h2", null, t("invitations.title")),
      this.live,
      this.count,
      exportLink(place.id),
    );
    this.#tally(place, place.invitations.totalCount);
    this.#offerMore();
    showPlace(place, "invitations", [
      scene.flash(),
      inviteForm(scene, place, invited),
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
      left: scene.left,
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
    if (this.scene.left.aborted) return;
    this.scene.address(asked, how);
    const wanted = (this.wanted = wantedIn(asked));
    this.problems.replaceChildren();
    this.rows.element.setAttribute("aria-busy", "true");
    const { heard } = this;
    try {
      const fresh = await this.#read(null, PAGE);
      if (!fresh) return;
      this.#shown(fresh, fresh.invitations.nodes);
      announce(t("invitations.count", { count: this.total }));
      // What was told in the meantime may be newer than the answer.
      if (heard !== this.heard) await this.#catchUp();
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      if (wanted !== this.wanted) return;
      this.rows.element.removeAttribute("aria-busy");
      this.problems.replaceChildren(notice("problem", error.message));
    }
  }

  /**
   * Null where the answer counts no more: the reader went elsewhere, or asks for something else by now.
   * @param {string | null} after
   * @param {number} first
   */
  async #read(after, first) {
    const { wanted } = this;
    const answer = await ask(api.INVITATIONS, { id: this.place.id, filter: wanted, first, after });
    if (this.scene.left.aborted || wanted !== this.wanted) return null;
    if (!answer.viewer) void this.scene.signedOut();
    else if (!answer.community || !isReadable(answer.community)) void this.scene.again();
    else return answer.community;
    return null;
  }

  /** Asks anew for all that is shown: changes may have been missed. */
  async #catchUp() {
    const nodes = [];
    let after = null;
    for (;;) {
      const fresh = await this.#read(after, Math.min(MOST, Math.max(PAGE, this.rows.size - nodes.length)));
      if (!fresh) return;
      nodes.push(...fresh.invitations.nodes);
      after = fresh.invitations.pageInfo.endCursor;
      if (nodes.length >= this.rows.size || !fresh.invitations.pageInfo.hasNextPage) return this.#shown(fresh, nodes);
    }
  }

  /**
   * @param {Readable} fresh the answer with the last of them
   * @param {Invitation[]} nodes
   */
  #shown(fresh, nodes) {
    this.rows.element.removeAttribute("aria-busy");
    this.rows.replace(nodes);
    this.page = fresh.invitations.pageInfo;
    this.#tally(fresh, fresh.invitations.totalCount);
    this.#offerMore();
  }

  /** A button that is there stays, with its focus and with what was asked by it. */
  #offerMore() {
    if (!this.page.hasNextPage) this.more.replaceChildren();
    else if (!this.more.hasChildNodes()) this.more.append(moreButton(() => this.#further()));
  }

  async #further() {
    const fresh = await this.#read(this.page.endCursor, PAGE);
    const page = fresh?.invitations;
    if (page) this.page = page.pageInfo;
    const first = this.rows.append(page?.nodes ?? []);
    return { first, count: page?.nodes.length ?? 0, more: page?.pageInfo.hasNextPage ?? false };
  }

  // ------------------------------------------------------------------------------------------------------ changes

  /** @param {Invitation} invitation */
  #changed(invitation) {
    this.heard += 1;
    if (matches(invitation, this.wanted)) this.rows.put(invitation, { further: this.page.hasNextPage });
    else this.rows.remove(invitation.id);
    this.tallying ??= setTimeout(() => void this.#recount().catch(ignore), SOON_MS);
    this.drawing ??= setTimeout(() => void this.#draw(), FUNNEL_MS);
  }

  async #recount() {
    this.tallying = undefined;
    const { wanted } = this;
    const { community } = await ask(api.TALLY, { id: this.place.id, filter: wanted });
    if (this.scene.left.aborted || wanted !== this.wanted || !community) return;
    part("place-facts").textContent = facts(community.viewerRole, community.memberCount);
    this.#tally(community, community.invitations.totalCount);
  }

  async #draw() {
    this.drawing = undefined;
    if (!this.scene.left.aborted) await drawFunnel(this.place.id, this.funnel).catch(ignore);
  }

  /**
   * @param {{ invitationCounts: import("../operations.js").Counts | null }} place
   * @param {number} total
   */
  #tally({ invitationCounts }, total) {
    this.total = total;
    const all = Object.values(invitationCounts ?? {}).reduce((sum, number) => sum + number, 0);
    const narrowed = !asksNothing(this.wanted);
    this.filter.count(invitationCounts);
    this.filter.element.hidden = all === 0 && !narrowed;
    this.count.textContent = narrowed ? t("invitations.of", { count: total, all }) : t("invitations.count", { count: total });
    this.count.hidden = all === 0;
    this.rows.element.hidden = total === 0;
    this.empty.hidden = total > 0;
    this.empty.replaceChildren(...(narrowed ? this.#noMatch() : emptiness()));
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
