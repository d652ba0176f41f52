// The members of a community in the order of joining, and the actions: change a role, remove, leave.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { address, announce, button, confirm, h, isolated } from "../page.js";
import { formatDay, rich, t } from "../words.js";
import { rolesUpTo } from "./invite-form.js";
import { showFacts, showMissing, isAdmin, showProblem, showCommunityPage } from "./community-page.js";
import { PagedList, readRows } from "./paged-list.js";
import { followInvitations } from "./subscription.js";
import { onVisible } from "./visible.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").Membership} Membership */
/** @typedef {import("../operations.js").Role} Role */
/** @typedef {import("../operations.js").CommunityWithMembers} CommunityWithMembers */

/** @typedef {import("../../operation-types").MembersData} MembersData */

/** @type {import("../console.js").View} */
export async function members(context, id = "") {
  let answer = /** @type {MembersData} */ ({});
  /** @type {import("./paged-list.js").ReadPage<Membership>} */
  const read = async ({ after, first }, signal) => {
    answer = await ask(api.MEMBERS, { id, first, after }, { signal });
    return answer.community?.memberships ?? null;
  };
  const page = await readRows(read, context.rows, context.signal);
  const community = answer.community;
  if (!page || !community) return showMissing(context, answer);
  const list = new PagedList(context.signal, read, {
    element: h("ul", { class: "rows" }),
    render: (membership) => member(context, community, membership),
    page,
    onMissing: () => showMissing(context, answer),
  });
  const count = h("span", { class: "quiet" }, t("members", { count: community.memberCount }));
  const title = h("div", { class: "section-head" }, h("h2", null, t("members.title")), count);
  showCommunityPage(community, "members", [context.takeFlash(), title, ...list.parts]);
  const refresh = onVisible(context.signal, async (signal) => {
    await list.refresh();
    const fresh = answer.community;
    if (!fresh || signal.aborted) return;
    if (fresh.viewerRole !== community.viewerRole) return context.reload();
    count.textContent = t("members", { count: fresh.memberCount });
    showFacts(fresh);
  });
  if (isAdmin(community.viewerRole)) followAcceptances(context, id, refresh);
}

/**
 * Runs `refresh` when somebody joins. Admins may follow the invitations; an invitation that was accepted is a new member.
 * @param {ViewContext} context
 * @param {string} id of the community
 * @param {() => void} refresh
 */
function followAcceptances({ signal }, id, refresh) {
  void followInvitations(id, {
    signal,
    onChange: ({ status }) => void (status === "ACCEPTED" && refresh()),
    catchUp: async () => refresh(),
    onState: () => {},
  });
}

/**
 * @param {ViewContext} context
 * @param {CommunityWithMembers} community
 * @param {Membership} membership
 */
function member(context, community, membership) {
  const { role, joinedAt, member } = membership;
  const own = isOwn(context, membership) && h("span", { class: "quiet" }, ` (${t("members.you")})`);
  const { name, email, displayEmail } = member;
  const words = name && email && displayEmail ? [...address(email, displayEmail), " · "] : [];
  return h(
    "li",
    { class: "row member" },
    h("span", { class: "email" }, isolated(nameOf(membership)), own),
    h("span", { class: `badge ${role.toLowerCase()}` }, t(`invite.role.${role}`)),
    h("span", { class: "progress quiet" }, words, t("members.since", { date: formatDay(joinedAt) })),
    h("span", { class: "row-actions" }, ...actions(context, community, membership)),
  );
}

/** @param {Membership} membership */
const nameOf = ({ member }) => member.name ?? member.displayEmail ?? t("members.nameless");

/**
 * @param {ViewContext} context
 * @param {Membership} membership
 */
const isOwn = ({ viewer }, { member }) => member.id === viewer.member.id;

/**
 * @param {ViewContext} context
 * @param {CommunityWithMembers} community
 * @param {Membership} membership
 */
function actions(context, community, membership) {
  if (!membership.viewerCanChange) return [];
  const hidden = h("span", { class: "visually-hidden" }, ` ${nameOf(membership)}`);
  const own = isOwn(context, membership);
  const remove = button([own ? t("members.leave") : t("members.remove"), hidden], { class: "button small" }, () =>
    own ? askToLeave(context, community, membership) : askToRemove(context, membership),
  );
  if (!isAdmin(community.viewerRole)) return [remove];
  const change = button([t("members.change"), hidden.cloneNode(true)], { class: "button small" }, () =>
    askForRole(context, community, membership),
  );
  return [change, remove];
}

// -------------------------------------------------------------------------------------------------------------- questions

/**
 * @param {ViewContext} context
 * @param {CommunityWithMembers} community
 * @param {Membership} membership
 */
function askForRole(context, community, membership) {
  const name = nameOf(membership);
  const choices = rolesUpTo(community.viewerRole).map((role) => choice(role, role === membership.role));
  const words = {
    title: t("members.change.title"),
    text: rich(isOwn(context, membership) ? "members.change.own" : "members.change.text", { name: isolated(name) }),
    extra: h("fieldset", { class: "choices" }, h("legend", { class: "visually-hidden" }, t("invite.role")), choices),
    yes: t("members.change.button"),
    no: t("cancel"),
    danger: false,
  };
  confirm(words, async (problems, dialog) => {
    const role = /** @type {Role} */ (dialog.querySelector("input:checked")?.getAttribute("value"));
    const { changeRole: answer } = await ask(api.CHANGE_ROLE, { input: { membershipId: membership.id, role } });
    if (!("membership" in answer)) return showMemberProblem(context, answer, problems);
    await context.reload({ kind: "done", text: t("members.changed", { name, role: t(`role.${role}`) }) });
    return true;
  });
}

/**
 * @param {Role} role
 * @param {boolean} checked
 */
const choice = (role, checked) =>
  h(
    "label",
    { class: "check" },
    h("input", { type: "radio", name: "new-role", value: role, checked, autofocus: checked }),
    h("span", null, t(`invite.role.${role}`)),
    h("span", { class: "hint" }, t(`invite.role.hint.${role}`)),
  );

/**
 * @param {ViewContext} context
 * @param {Membership} membership
 */
function askToRemove(context, membership) {
  const name = nameOf(membership);
  const words = {
    title: t("members.remove.title"),
    text: rich("members.remove.text", { name: isolated(name) }),
    yes: t("members.remove"),
    no: t("cancel"),
  };
  confirm(words, async (problems) => {
    const { removeMember: answer } = await ask(api.REMOVE_MEMBER, { input: { membershipId: membership.id } });
    if (!("removedMembershipId" in answer)) return showMemberProblem(context, answer, problems);
    await context.reload({ kind: "done", text: t("members.removed", { name }) });
    return true;
  });
}

/**
 * @param {ViewContext} context
 * @param {CommunityWithMembers} community
 * @param {Membership} membership
 */
function askToLeave(context, community, membership) {
  const words = {
    title: t("members.leave.title", { community: community.name }),
    text: t("members.leave.text"),
    yes: t("members.leave"),
    no: t("members.stay"),
  };
  confirm(words, async (problems) => {
    const { removeMember: answer } = await ask(api.REMOVE_MEMBER, { input: { membershipId: membership.id } });
    if (!("removedMembershipId" in answer)) return showMemberProblem(context, answer, problems);
    history.replaceState(null, "", "#/");
    await context.reload({ kind: "done", text: t("members.left", { community: community.name }) });
    return true;
  });
}

/**
 * @param {ViewContext} context
 * @param {import("../api.js").Problem} problem
 * @param {Element} problems
 */
async function showMemberProblem(context, problem, problems) {
  announce(problem.message);
  await showProblem(context, problem, problems);
  return problem.__typename === "NotSignedIn";
}
