// The form that invites one person.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { announce, button, field, h, notice, problemWords, onSubmit } from "../page.js";
import { LANGUAGES, joinList, t } from "../words.js";
import { ROLES, showProblem } from "./community-page.js";

/** @typedef {import("../operations.js").Community} Community */
/** @typedef {import("../operations.js").EarlierInvitation} EarlierInvitation */
/** @typedef {import("../operations.js").Invitation} Invitation */
/** @typedef {import("../operations.js").Role} Role */
/** @typedef {import("../console.js").ViewContext} ViewContext */

export const LONGEST_MESSAGE = 1000;

/**
 * @param {ViewContext} context
 * @param {Community} community
 * @param {EarlierInvitation | null} earlier the invitation whose values the fields have
 * @param {(invitation: Invitation) => void} onInvited
 */
export function inviteForm(context, community, earlier, onInvited) {
  const fields = makeFields(community, earlier);
  const problems = h("div", { class: "problems" });
  const submit = button(t("invite.button"), { class: "button primary", type: "submit" }, null);
  const more = h(
    "details",
    { class: "more-fields", open: Boolean(earlier?.message || earlier?.locale) },
    h("summary", null, t("invite.more")),
    fields.message.element,
    fields.locale.element,
  );
  const form = h(
    "form",
    { class: "invite", "aria-labelledby": "invite-title" },
    h("div", { class: "invite-line" }, fields.email.element, fields.role.element),
    more,
    h("div", { class: "invite-end" }, submit, h("p", { class: "hint" }, policyWords(community))),
    problems,
  );
  const hint = earlier && h("p", { class: "quiet" }, t("invite.again"));
  onSubmit(form, submit, problems, async () => {
    clearErrors(fields);
    if (!fields.email.control.value.trim()) return fields.email.setError(t("invite.email.missing"));
    const { inviteMember: answer } = await ask(api.INVITE, { input: inputOf(fields, community) });
    if (!("email" in (answer.invitation ?? {}))) return showInviteProblem(answer, { fields, problems, community, context, more });
    more.open = false;
    hint?.remove();
    return showInvited(answer.invitation, fields, problems, onInvited);
  });
  const many = h("a", { href: `#/communities/${community.id}/invite` }, t("many.link"));
  const title = h("div", { class: "section-head" }, h("h2", { id: "invite-title" }, t("invite.title")), many);
  return h("section", { class: "panel" }, title, hint, form);
}

/** @typedef {ReturnType<typeof makeFields>} Fields */

/**
 * @param {Community} community
 * @param {EarlierInvitation | null} earlier
 */
function makeFields({ viewerRole }, earlier) {
  const email = h("input", {
    type: "email",
    name: "email",
    value: earlier?.displayEmail,
    autocomplete: "off",
    spellcheck: "false",
    autocapitalize: "off",
    maxlength: "320",
  });
  return {
    email: field(email, t("invite.email")),
    role: roleField(viewerRole, earlier?.role),
    message: messageField(earlier?.message),
    locale: localeField(earlier?.locale),
  };
}

/**
 * @param {Role} highest
 * @param {Role} [chosen]
 */
export function roleField(highest, chosen) {
  const select = h(
    "select",
    { name: "role" },
    rolesUpTo(highest).map((role) => h("option", { value: role, selected: role === chosen }, t(`invite.role.${role}`))),
  );
  const role = field(select, t("invite.role"), t(`invite.role.hint.${/** @type {Role} */ (select.value)}`));
  select.addEventListener("change", () =>
    role.hint?.replaceChildren(t(`invite.role.hint.${/** @type {Role} */ (select.value)}`)),
  );
  return role;
}

/** @param {Role} highest the reader's own role */
export const rolesUpTo = (highest) => ROLES.slice(0, ROLES.indexOf(highest) + 1);

/** @param {string | null} [message] */
export const messageField = (message) =>
  field(
    h("textarea", { name: "message", rows: "3", maxlength: String(LONGEST_MESSAGE) }, message),
    t("invite.message"),
    t("invite.message.hint"),
  );

/** @param {string | null} [chosen] */
export const localeField = (chosen = null) =>
  field(h("select", { name: "locale" }, languages(t("invite.language.default"), chosen)), t("invite.language"));

/**
 * The options of the languages of mails, each named in its language. A chosen other language is added.
 * @param {string} unset the label of no language
 * @param {string | null} [chosen]
 */
export function languages(unset, chosen = null) {
  const tags = chosen === null || LANGUAGES.includes(chosen) ? LANGUAGES : [...LANGUAGES, chosen];
  const options = tags.map((tag) => {
    const name = new Intl.DisplayNames([tag], { type: "language" }).of(tag) ?? tag;
    return h("option", { value: tag, lang: tag, selected: tag === chosen }, name.charAt(0).toLocaleUpperCase(tag) + name.slice(1));
  });
  return [h("option", { value: "" }, unset), ...options];
}

/** @param {Community} community */
export function policyWords({ policy }) {
  const { linkMinutes, invitationDays, displayEmailDomains, seatLimit } = policy;
  const days = t("policy.days", { count: invitationDays });
  const minutes = t("policy.minutes", { count: linkMinutes });
  return [
    t("policy.line", { days, minutes }),
    displayEmailDomains.length > 0 && t("policy.domains", { domains: joinList(displayEmailDomains) }),
    seatLimit !== null && t("policy.seats", { count: seatLimit }),
  ]
    .filter(Boolean)
    .join(" ");
}

/**
 * @param {Fields} fields
 * @param {Community} community
 */
function inputOf(fields, community) {
  const message = fields.message.control.value.trim();
  const locale = fields.locale.control.value;
  return {
    communityId: community.id,
    email: fields.email.control.value.trim(),
    role: /** @type {Role} */ (fields.role.control.value),
    ...(message ? { message } : {}),
    ...(locale ? { locale } : {}),
  };
}

/** @param {Fields} fields */
const clearErrors = (fields) => Object.values(fields).forEach((field) => field.setError(null));

/**
 * Shows the result and clears the address and the message. Role and language stay for the next invitation.
 * @param {any} invitation
 * @param {Fields} fields
 * @param {Element} problems
 * @param {(invitation: Invitation) => void} onInvited
 */
function showInvited(invitation, fields, problems, onInvited) {
  const words = t("invite.done", { email: invitation.displayEmail });
  problems.replaceChildren(notice("done", words));
  announce(words);
  fields.email.control.value = "";
  fields.message.control.value = "";
  fields.email.control.focus();
  onInvited(invitation);
}

/**
 * Shows a problem next to its field.
 * @param {any} answer
 * @param {{ fields: Fields, problems: Element, community: Community, context: ViewContext, more: HTMLDetailsElement }} form
 */
function showInviteProblem(answer, { fields, problems, community, context, more }) {
  const words = problemWords(answer);
  const members = `#/communities/${community.id}`;
  switch (answer.__typename) {
    case "AlreadyInvited":
      return fields.email.setError([
        ...words,
        " ",
        h("a", { href: `${members}/invitations/${answer.invitation.id}` }, t("invite.open")),
      ]);
    case "AlreadyMember":
    case "InvalidEmail":
    case "EmailDomainNotAllowed":
      return fields.email.setError(words);
    case "InvalidInput": {
      const wrong = answer.field in fields ? fields[/** @type {keyof Fields} */ (answer.field)] : null;
      if (wrong && (wrong === fields.message || wrong === fields.locale)) more.open = true;
      return wrong ? wrong.setError(words) : problems.replaceChildren(notice("problem", ...words));
    }
    default:
      return showProblem(context, answer, problems);
  }
}
