// The form for a community's invitation rules.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { announce, button, field, h, notice, problemWords, onSubmit } from "../page.js";
import { t } from "../words.js";
import { languages } from "./invite-form.js";
import { showFacts, showMissing, isAdmin, showNotFound, showProblem, showCommunityPage } from "./community-page.js";
import { onVisible } from "./visible.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").Community} Community */
/** @typedef {import("../operations.js").Policy} Policy */
/** @typedef {Omit<Policy, "displayEmailDomains">} Rules what the form changes */

/** @type {import("../console.js").View} */
export async function policy(context, id = "") {
  const answer = await ask(api.COMMUNITY_ONLY, { id }, { signal: context.signal });
  const community = answer.community;
  if (!community) return showMissing(context, answer);
  if (!isAdmin(community.viewerRole)) return showNotFound(t("audit.not_yours.title"), t("audit.not_yours"));
  const { element, follow } = form(context, community);
  showCommunityPage(community, "rules", [
    context.takeFlash(),
    h("h2", null, t("rules.title")),
    h("p", { class: "quiet" }, t("rules.text")),
    h("section", { class: "panel" }, element),
  ]);
  onVisible(context.signal, async (signal) => {
    const answer = await ask(api.COMMUNITY_ONLY, { id }, { signal });
    const fresh = answer.community;
    if (!fresh) return showMissing(context, answer);
    if (!isAdmin(fresh.viewerRole)) return context.reload();
    follow(fresh.policy);
    showFacts(fresh);
  });
}

/** @typedef {ReturnType<typeof makeFields>} Fields */

/** @param {Policy} policy */
function makeFields({ linkMinutes, invitationDays, displayEmailDomains, seatLimit, locale }) {
  const number = (/** @type {keyof Policy} */ name, /** @type {number | null} */ value, /** @type {number} */ most) =>
    h("input", { type: "number", name, value, min: "1", max: String(most), step: "1", inputmode: "numeric", class: "short" });
  const domains = h(
    "textarea",
    { name: "allowedEmailDomains", rows: "3", spellcheck: "false", autocapitalize: "off" },
    displayEmailDomains.join("\n"),
  );
  return {
    linkMinutes: field(number("linkMinutes", linkMinutes, 15), t("rules.minutes"), t("rules.minutes.hint")),
    invitationDays: field(number("invitationDays", invitationDays, 30), t("rules.days"), t("rules.days.hint")),
    allowedEmailDomains: field(domains, t("rules.domains"), t("rules.domains.hint")),
    seatLimit: field(number("seatLimit", seatLimit, 1_000_000), t("rules.seats"), t("rules.seats.hint")),
    locale: field(h("select", { name: "locale" }, languages(t("rules.language.none"), locale)), t("rules.language"), t("rules.language.hint")),
  };
}

/**
 * @param {ViewContext} context
 * @param {Community} community
 */
function form(context, community) {
  const fields = makeFields(community.policy);
  const problems = h("div", { class: "problems" });
  const submit = button(t("rules.button"), { class: "button primary", type: "submit" }, null);
  const parts = Object.values(fields).map(({ element }) => element);
  const form = h("form", { class: "rules" }, ...parts, h("div", { class: "actions" }, submit), problems);
  let saved = community.policy;
  const follow = (/** @type {Policy} */ fresh) => {
    showChanges(fields, saved, fresh);
    saved = fresh;
  };
  onSubmit(form, submit, problems, async () => {
    for (const { setError } of Object.values(fields)) setError(null);
    const changes = changesOf(fields, saved);
    if (changes === null) return;
    const { updateInvitationPolicy: answer } = await ask(api.UPDATE_POLICY, { input: { communityId: community.id, ...changes } });
    if (!("community" in answer)) return showPolicyProblem(context, fields, answer, problems);
    saved = answer.community.policy;
    showValues(fields, { allowedEmailDomains: valuesOf(saved).allowedEmailDomains });
    problems.replaceChildren(notice("done", t("rules.done")));
    announce(t("rules.done"));
  });
  return { element: form, follow };
}

/**
 * The rules as texts of the form's controls.
 * @param {Policy} policy
 * @returns {Record<keyof Fields, string>}
 */
const valuesOf = ({ linkMinutes, invitationDays, displayEmailDomains, seatLimit, locale }) => ({
  linkMinutes: String(linkMinutes),
  invitationDays: String(invitationDays),
  allowedEmailDomains: displayEmailDomains.join("\n"),
  seatLimit: String(seatLimit ?? ""),
  locale: locale ?? "",
});

/**
 * @param {Fields} fields
 * @param {Partial<Record<keyof Fields, string>>} values
 */
function showValues(fields, values) {
  for (const [name, value] of Object.entries(values)) fields[/** @type {keyof Fields} */ (name)].control.value = value;
}

/**
 * Shows the rules that another admin changed. A control that the reader changed keeps its value.
 * @param {Fields} fields
 * @param {Policy} before
 * @param {Policy} fresh
 */
function showChanges(fields, before, fresh) {
  const [shown, next] = [valuesOf(before), valuesOf(fresh)];
  const names = /** @type {(keyof Fields)[]} */ (Object.keys(next)).filter((name) => next[name] !== shown[name]);
  const untouched = names.filter((name) => isUntouched(fields[name].control, shown[name]));
  if (untouched.includes("locale")) fields.locale.control.replaceChildren(...languages(t("rules.language.none"), fresh.locale));
  showValues(fields, Object.fromEntries(untouched.map((name) => [name, next[name]])));
}

/**
 * @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} control
 * @param {string} shown the value that the form gave to it
 */
const isUntouched = ({ value, validity }, shown) => value === shown && !validity.badInput;

/**
 * The changed rules; null after an invalid number, which is shown at its field.
 * @param {Fields} fields
 * @param {Policy} saved
 * @returns {Partial<Rules> | null}
 */
function changesOf(fields, saved) {
  const domains = fields.allowedEmailDomains.control.value.split(/[\s,;]+/).filter(Boolean);
  const seats = fields.seatLimit.control;
  /** @type {Rules} */
  const entered = {
    linkMinutes: wholeNumber(fields.linkMinutes.control),
    invitationDays: wholeNumber(fields.invitationDays.control),
    allowedEmailDomains: domains,
    seatLimit: seats.value === "" && !seats.validity.badInput ? null : wholeNumber(seats),
    locale: fields.locale.control.value || null,
  };
  for (const name of /** @type {const} */ (["linkMinutes", "invitationDays", "seatLimit"])) {
    if (!Number.isNaN(entered[name])) continue;
    fields[name].setError(t("rules.number"));
    return null;
  }
  // The field has the domains as people write them.
  const before = { ...saved, allowedEmailDomains: saved.displayEmailDomains };
  const changes = Object.entries(entered).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[/** @type {keyof Rules} */ (name)]),
  );
  return Object.fromEntries(changes);
}

/** @param {HTMLInputElement} control */
const wholeNumber = ({ value }) => (/^\d{1,9}$/.test(value) ? Number(value) : NaN);

/**
 * @param {ViewContext} context
 * @param {Fields} fields
 * @param {import("../api.js").Problem} problem
 * @param {Element} problems
 */
function showPolicyProblem(context, fields, problem, problems) {
  const { field: name } = problem;
  if (name && name in fields) return fields[/** @type {keyof Fields} */ (name)].setError(problemWords(problem));
  return showProblem(context, problem, problems);
}
