// The access tokens of the account: the list, the form for a new one, and revoking.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { announce, button, confirm, field, h, notice, problemWords, isolated, onSubmit } from "../page.js";
import { timeAgo } from "../times.js";
import { formatDay, joinList, rich, t } from "../words.js";
import { showProblem } from "./community-page.js";
import { Rows } from "./paged-list.js";
import { signInAgain } from "./sign-in.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").AccessToken} AccessToken */
/** @typedef {import("../operations.js").AccessTokenScope} AccessTokenScope */
/** @typedef {import("../operations.js").Provider} Provider */
/** @typedef {import("../operations.js").Role} Role */

const DAYS = [7, 30, 90, 365];
const USUAL_DAYS = 90;

/**
 * The list of tokens and the form for a new one.
 * @param {ViewContext} context
 * @param {AccessToken[]} tokens
 * @param {Provider[]} ownProviders the providers of the account's sign-ins
 */
export function accessTokens(context, tokens, ownProviders) {
  const rows = new Rows(h("ul", { class: "rows" }), (token) => row(context, token), tokens);
  let shown = tokens;
  const show = (/** @type {AccessToken[]} */ fresh) => {
    shown = fresh;
    rows.replace(fresh);
    rows.element.hidden = fresh.length === 0;
  };
  rows.element.hidden = tokens.length === 0;
  const onAdded = (/** @type {AccessToken} */ token) => show([token, ...shown]);
  const { memberships } = context.viewer;
  const empty = memberships.length === 0 && h("p", { class: "quiet" }, t("tokens.no_community"));
  const parts = [
    h("h2", null, t("tokens.title")),
    h("p", { class: "quiet" }, t("tokens.text")),
    rows.element,
    empty || h("section", { class: "panel" }, h("h3", null, t("tokens.new")), form(context, ownProviders, onAdded)),
  ];
  return { parts, show };
}

/**
 * @param {ViewContext} context
 * @param {AccessToken} token
 */
function row(context, token) {
  const { name, scopes, communityIds, expiresAt, lastUsedAt, highestRole } = token;
  const invites = scopes.includes("INVITE");
  const tokenCommunities = context.viewer.memberships.filter(({ community }) => communityIds.includes(community.id));
  const lastUse = lastUsedAt ? rich("account.used", { when: timeAgo(lastUsedAt) }) : [t("tokens.unused")];
  const hidden = h("span", { class: "visually-hidden" }, ` ${name}`);
  return h(
    "li",
    { class: "row" },
    h("span", { class: "email" }, isolated(name)),
    button([t("tokens.revoke"), hidden], { class: "button small" }, () => askToRevoke(context, token)),
    h(
      "span",
      { class: "progress quiet" },
      [t(invites ? "tokens.scope.INVITE" : "tokens.scope.READ"), " · "],
      [tokenCommunities.length > 0 ? joinList(tokenCommunities.map(({ community }) => community.name)) : t("tokens.nowhere"), " · "],
      invites && [t("tokens.up_to", { role: t(`role.${highestRole}`) }), " · "],
      [t("tokens.until", { date: formatDay(expiresAt) }), " · "],
      lastUse,
    ),
  );
}

/** @param {HTMLInputElement} box */
const invitationsToo = (box) =>
  h(
    "label",
    { class: "check" },
    box,
    h("span", null, t("tokens.revoke.invitations")),
    h("span", { class: "hint" }, t("tokens.revoke.invitations.hint")),
  );

/**
 * @param {ViewContext} context
 * @param {AccessToken} token
 */
function askToRevoke(context, { id, name, scopes }) {
  const invitations = h("input", { type: "checkbox", name: "revoke-invitations" });
  const words = {
    title: t("tokens.revoke.title"),
    text: rich("tokens.revoke.text", { name: isolated(name) }),
    extra: scopes.includes("INVITE") ? invitationsToo(invitations) : undefined,
    yes: t("tokens.revoke"),
    no: t("cancel"),
  };
  confirm(words, async (problems) => {
    const input = { accessTokenId: id, revokeInvitations: invitations.checked };
    const { revokeAccessToken: answer } = await ask(api.REVOKE_TOKEN, { input });
    if ("message" in answer) {
      await showProblem(context, answer, problems);
      return answer.__typename === "NotSignedIn";
    }
    await context.reload({ kind: "done", text: t("tokens.revoked", { name }) });
    return true;
  });
}

// ------------------------------------------------------------------------------------------------------------ a new one

/** @param {ViewContext} context */
function makeFields({ viewer }) {
  const days = DAYS.map((count) => h("option", { value: count, selected: count === USUAL_DAYS }, t("policy.days", { count })));
  const scopes = /** @type {const} */ (["READ", "INVITE"]).map((scope) =>
    h("option", { value: scope }, t(`tokens.scope.${scope}`)),
  );
  const roles = /** @type {const} */ (["MEMBER", "ADMIN"]).map((role) => h("option", { value: role }, t(`role.${role}`)));
  const boxes = viewer.memberships.map(({ community: { id, name } }, index) => {
    const box = h("input", {
      type: "checkbox",
      name: "community",
      value: id,
      checked: index === 0 && viewer.memberships.length === 1,
    });
    return { box, element: h("label", { class: "check" }, box, isolated(name)) };
  });
  return {
    name: field(
      h("input", { type: "text", name: "token-name", maxlength: "100", autocomplete: "off" }),
      t("tokens.name"),
      t("tokens.name.hint"),
    ),
    scopes: field(h("select", { name: "scopes" }, scopes), t("tokens.scope"), t("tokens.scope.hint")),
    expiresInDays: field(h("select", { name: "days" }, days), t("tokens.days")),
    highestRole: field(h("select", { name: "highest-role" }, roles), t("tokens.role"), t("tokens.role.hint")),
    boxes,
  };
}

/**
 * @param {ViewContext} context
 * @param {Provider[]} ownProviders
 * @param {(token: AccessToken) => void} onAdded
 */
function form(context, ownProviders, onAdded) {
  const fields = makeFields(context);
  const problems = h("div", { class: "problems" });
  const missing = h("p", { class: "field-error", id: "tokens-missing" });
  const tokenCommunities = h(
    "fieldset",
    { class: "choices", "aria-describedby": missing.id },
    h("legend", null, t("tokens.communities")),
    fields.boxes.map(({ element }) => element),
    missing,
  );
  const submit = button(t("tokens.button"), { type: "submit" }, null);
  const actions = h("div", { class: "actions" }, submit);
  const line = h("div", { class: "invite-line even" }, fields.scopes.element, fields.expiresInDays.element);
  fields.highestRole.element.hidden = true;
  fields.scopes.control.addEventListener("change", () => {
    fields.highestRole.element.hidden = fields.scopes.control.value !== "INVITE";
  });
  const form = h("form", null, fields.name.element, tokenCommunities, line, fields.highestRole.element, actions, problems);
  onSubmit(form, submit, problems, async () => {
    fields.name.setError(null);
    missing.replaceChildren();
    const communityIds = fields.boxes.filter(({ box }) => box.checked).map(({ box }) => box.value);
    if (communityIds.length === 0) return showMissingCommunity(missing, fields.boxes[0]?.box);
    const { createAccessToken: answer } = await ask(api.CREATE_TOKEN, {
      input: {
        name: fields.name.control.value,
        scopes: [/** @type {AccessTokenScope} */ (fields.scopes.control.value)],
        communityIds,
        expiresInDays: Number(fields.expiresInDays.control.value),
        highestRole: fields.scopes.control.value === "INVITE" ? /** @type {Role} */ (fields.highestRole.control.value) : "MEMBER",
      },
    });
    if (answer.__typename === "FreshSignInRequired")
      return problems.replaceChildren(signInAgain(answer, ownProviders, context.returnTo()));
    if (!("token" in answer))
      return answer.field === "name" ? fields.name.setError(problemWords(answer)) : showProblem(context, answer, problems);
    onAdded(answer.accessToken);
    fields.name.control.value = "";
    showOnce(answer.token, problems);
  });
  return form;
}

/**
 * @param {HTMLElement} missing
 * @param {HTMLElement | undefined} box
 */
function showMissingCommunity(missing, box) {
  missing.textContent = t("tokens.communities.missing");
  announce(missing.textContent);
  box?.focus();
}

/**
 * Shows a new token. The service never shows it again.
 * @param {string} token
 * @param {Element} community
 */
function showOnce(token, community) {
  const tokenField = field(
    h("input", { type: "text", readonly: true, value: token, class: "token", spellcheck: "false" }),
    t("tokens.shown"),
    t("tokens.shown.hint"),
  );
  const copy = button(t("tokens.copy"), { class: "button" }, async () => {
    try {
      await navigator.clipboard.writeText(token);
    } catch {
      // Without access to the clipboard the token is selected, so that the reader can copy it.
      return tokenField.control.select();
    }
    copy.textContent = t("tokens.copied");
    return announce(t("tokens.copied"));
  });
  community.replaceChildren(notice("done", tokenField.element, h("div", { class: "actions" }, copy)));
  announce(t("tokens.shown"));
  copy.focus();
}
