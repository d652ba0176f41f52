// One community as its admins see it: inviting, and what became of every invitation. Members see the members.

import { Unanswered, ask } from "../api.js";
import * as api from "../operations.js";
import { h, part, show } from "../page.js";
import { t } from "../words.js";
import { InvitationRows } from "./invitation-rows.js";
import { inviteForm } from "./invite-form.js";
import { members } from "./members.js";
import { facts, head, moreButton, nothingThere } from "./place.js";

/** @typedef {import("../console.js").Scene} Scene */
/** @typedef {import("../operations.js").Invitation} Invitation */
/** @typedef {import("../operations.js").WithInvitations} WithInvitations */

const PAGE = 50;
const SOON_MS = 3_000;
const LATER_MS = 20_000;
const ON_ITS_WAY = ["QUEUED", "SENT", "DELAYED"];

/**
 * @param {string} id
 * @param {string | null} after
 */
const read = async (id, after = null) => (await ask(api.INVITATIONS, { id, first: PAGE, after })).community;

/** @type {import("../console.js").View} */
export async function community(scene, id = "") {
  const found = await read(id);
  if (scene.left.aborted) return;
  if (!found) return nothingThere(t("community.gone.title"), t("community.gone"));
  return isReadable(found) ? present(scene, found) : members(scene, id);
}

/** @typedef {WithInvitations & { invitations: NonNullable<WithInvitations["invitations"]> }} Readable */

/**
 * Whether the reader may see the invitations: members may not.
 * @param {WithInvitations} place
 * @returns {place is Readable}
 */
const isReadable = (place) => place.invitations !== null;

/**
 * @param {Scene} scene
 * @param {Readable} place
 */
function present(scene, place) {
  const page = place.invitations;
  const rows = new InvitationRows(place.id, page.nodes);
  const count = h("span", { class: "quiet", id: "invitation-count" });
  const empty = emptiness();
  const state = { total: page.totalCount };
  const recount = () => {
    count.textContent = t("invitations.count", { count: state.total });
    count.hidden = state.total === 0;
    empty.hidden = state.total > 0;
    rows.element.hidden = state.total === 0;
  };
  const form = inviteForm(scene, place, (invitation) => {
    state.total += rows.put([invitation]);
    recount();
  });
  recount();
  const title = h("div", { class: "section-head" }, h("h2", null, t("invitations.title")), count);
  const more = page.pageInfo.hasNextPage ? [further(place.id, rows, page.pageInfo.endCursor)] : [];
  const flash = scene.flash();
  show([head(place, "invitations"), ...(flash ? [flash] : []), form, title, empty, rows.element, ...more], { title: place.name });
  keepFresh(scene, place.id, (fresh) => {
    part("place-facts").textContent = facts(fresh.viewerRole, fresh.memberCount);
    rows.put(fresh.invitations.nodes);
    state.total = fresh.invitations.totalCount;
    recount();
    return rows.some(({ status, delivery }) => status === "PENDING" && ON_ITS_WAY.includes(delivery));
  });
}

const emptiness = () =>
  h("div", { class: "empty" }, h("h3", null, t("invitations.empty.title")), h("p", null, t("invitations.empty")));

/**
 * @param {string} id
 * @param {InvitationRows} rows
 * @param {string | null} cursor
 */
const further = (id, rows, cursor) =>
  moreButton(async () => {
    const page = (await read(id, cursor))?.invitations;
    cursor = page?.pageInfo.endCursor ?? null;
    const first = rows.append(page?.nodes ?? []);
    return { first, count: page?.nodes.length ?? 0, more: page?.pageInfo.hasNextPage ?? false };
  });

/**
 * Asks again now and then, sooner while a mail is on its way, and only while somebody looks.
 * @param {Scene} scene
 * @param {string} id
 * @param {(fresh: Readable) => boolean} update whether something is on its way
 */
function keepFresh(scene, id, update) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const look = async () => {
    clearTimeout(timer);
    const fresh = document.hidden ? null : await glance(id);
    if (scene.left.aborted) return;
    const soon = fresh !== null && isReadable(fresh) && update(fresh);
    timer = setTimeout(look, soon ? SOON_MS : LATER_MS);
  };
  timer = setTimeout(look, SOON_MS);
  document.addEventListener("visibilitychange", look, { signal: scene.left });
  scene.left.addEventListener("abort", () => clearTimeout(timer));
}

/** @param {string} id */
async function glance(id) {
  try {
    return await read(id);
  } catch (error) {
    if (error instanceof Unanswered) return null;
    throw error;
  }
}
