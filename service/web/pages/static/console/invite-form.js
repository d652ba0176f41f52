// Inviting one person.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { announce, button, field, h, notice, problemWords, whenSubmitted } from "../page.js";
import { listed, t } from "../words.js";
import { ROLES, refused } from "./place.js";

/** @typedef {import("../operations.js").Community} Community */
/** @typedef {import("../operations.js").Invitation} Invitation */
/** @typedef {import("../operations.js").Role} Role */
/** @typedef {import("../console.js").ViewContext} ViewContext */

export const LONGEST_MESSAGE = 1000;
const LANGUAGES = ["en", "de", "fr", "es"];

/**
 * @param {ViewContext} context
 * @param {Community} community
 * @param {(invitation: Invitation) => void} invited
 */
export function inviteForm(context, community, invited) {
  const fields = makeFields(community);
  const problems = h("div", { class: "problems" });
  const submit = button(t("invite.button"), { class: "button primary", type: "submit" }, null);
  const more = h(
    "details",
    { class: "more-fields" },
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
  whenSubmitted(form, submit, problems, async () => {
    clear(fields);
    if (!fields.email.control.value.trim()) return fields.email.wrong(t("invite.email.missing"));
    const { inviteMember: answer } = await ask(api.INVITE, { input: inputOf(fields, community) });
    if (!("email" in (answer.invitation ?? {}))) return told(answer, { fields, problems, community, context, more });
    more.open = false;
    return done(answer.invitation, fields, problems, invited);
  });
  const many = h("a", { href: `#/communities/${community.id}/invite` }, t("many.link"));
  const title = h("div", { class: "section-head" }, h("h2", { id: "invite-title" }, t("invite.title")), many);
  return h("section", { class: "panel" }, title, form);
}

/** @typedef {ReturnType<typeof makeFields>} Fields */

/** @param {Community} community */
function makeFields({ viewerRole }) {
  const email = h("input", {
    type: "email",
    name: "email",
    autocomplete: "off",
    spellcheck: "false",
    autocapitalize: "off",
    maxlength: "320",
  });
  return { email: field(email, t("invite.email")), role: roleField(viewerRole), message: messageField(), locale: localeField() };
}

/** @param {Role} highest */
export function roleField(highest) {
  const select = h(
    "select",
    { name: "role" },
    rolesUpTo(highest).map((role) => h("option", { value: role }, t(`invite.role.${role}`))),
  );
  const role = field(select, t("invite.role"), t("invite.role.hint.MEMBER"));
  select.addEventListener("change", () =>
    role.hint?.replaceChildren(t(`invite.role.hint.${/** @type {Role} */ (select.value)}`)),
  );
  return role;
}

/** @param {Role} highest nobody gives a role above their own */
export const rolesUpTo = (highest) => ROLES.slice(0, ROLES.indexOf(highest) + 1);

export const messageField = () =>
  field(
    h("textarea", { name: "message", rows: "3", maxlength: String(LONGEST_MESSAGE) }),
    t("invite.message"),
    t("invite.message.hint"),
  );

export const localeField = () => field(h("select", { name: "locale" }, languages(t("invite.language.default"))), t("invite.language"));

/**
 * The languages of the mails, each in its own words, and the one that is chosen, if it is another.
 * @param {string} unset what stands for none
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
  const { linkMinutes, invitationDays, allowedEmailDomains, seatLimit } = policy;
  const days = t("policy.days", { count: invitationDays });
  const minutes = t("policy.minutes", { count: linkMinutes });
  return [
    t("policy.line", { days, minutes }),
    allowedEmailDomains.length > 0 && t("policy.domains", { domains: listed(allowedEmailDomains) }),
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
const clear = (fields) => Object.values(fields).forEach((field) => field.wrong(null));

/**
 * Tells of the invitation, and is ready for the next address; role and language often stay the same.
 * @param {any} invitation
 * @param {Fields} fields
 * @param {Element} problems
 * @param {(invitation: Invitation) => void} invited
 */
function done(invitation, fields, problems, invited) {
  const words = t("invite.done", { email: invitation.email });
  problems.replaceChildren(notice("done", words));
  announce(words);
  fields.email.control.value = "";
  fields.message.control.value = "";
  fields.email.control.focus();
  invited(invitation);
}

/**
 * Tells what was refused next to what caused it.
 * @param {any} answer
 * @param {{ fields: Fields, problems: Element, community: Community, context: ViewContext, more: HTMLDetailsElement }} form
 */
function told(answer, { fields, problems, community, context, more }) {
  const words = problemWords(answer);
  const members = `#/communities/${community.id}`;
  switch (answer.__typename) {
    case "AlreadyInvited":
      return fields.email.wrong([
        ...words,
        " ",
        h("a", { href: `${members}/invitations/${answer.invitation.id}` }, t("invite.open")),
      ]);
    case "AlreadyMember":
    case "InvalidEmail":
    case "EmailDomainNotAllowed":
      return fields.email.wrong(words);
    case "InvalidInput": {
      const wrong = answer.field in fields ? fields[/** @type {keyof Fields} */ (answer.field)] : null;
      if (wrong && (wrong === fields.message || wrong === fields.locale)) more.open = true;
      return wrong ? wrong.wrong(words) : problems.replaceChildren(notice("problem", ...words));
    }
    default:
      return refused(context, answer, problems);
  }
}
