// The rules of a community for its invitations.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { announce, button, field, h, notice, problemWords, whenSubmitted } from "../page.js";
import { t } from "../words.js";
import { languages } from "./invite-form.js";
import { gone, isAdmin, nothingThere, refused, showPlace } from "./place.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").Community} Community */
/** @typedef {import("../operations.js").Policy} Policy */

/** @type {import("../console.js").View} */
export async function policy(context, id = "") {
  const answer = await ask(api.PLACE_ALONE, { id }, { signal: context.signal });
  const place = answer.community;
  if (!place) return gone(context, answer);
  if (!isAdmin(place.viewerRole)) return nothingThere(t("audit.not_yours.title"), t("audit.not_yours"));
  showPlace(place, "rules", [
    context.flash(),
    h("h2", null, t("rules.title")),
    h("p", { class: "quiet" }, t("rules.text")),
    h("section", { class: "panel" }, form(context, place)),
  ]);
}

/** @typedef {ReturnType<typeof makeFields>} Fields */

/** @param {Policy} policy */
function makeFields({ linkMinutes, invitationDays, allowedEmailDomains, seatLimit, locale }) {
  const number = (/** @type {keyof Policy} */ name, /** @type {number | null} */ value, /** @type {number} */ most) =>
    h("input", { type: "number", name, value, min: "1", max: String(most), step: "1", inputmode: "numeric", class: "short" });
  const domains = h(
    "textarea",
    { name: "allowedEmailDomains", rows: "3", spellcheck: "false", autocapitalize: "off" },
    allowedEmailDomains.join("\n"),
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
 * @param {Community} place
 */
function form(context, place) {
  const fields = makeFields(place.policy);
  const problems = h("div", { class: "problems" });
  const submit = button(t("rules.button"), { class: "button primary", type: "submit" }, null);
  const parts = Object.values(fields).map(({ element }) => element);
  const form = h("form", { class: "rules" }, ...parts, h("div", { class: "actions" }, submit), problems);
  let known = place.policy;
  whenSubmitted(form, submit, problems, async () => {
    for (const { wrong } of Object.values(fields)) wrong(null);
    const changes = changed(fields, known);
    if (changes === null) return;
    const { updateInvitationPolicy: answer } = await ask(api.UPDATE_POLICY, { input: { communityId: place.id, ...changes } });
    if (!("community" in answer)) return told(context, fields, answer, problems);
    known = answer.community.policy;
    fields.allowedEmailDomains.control.value = known.allowedEmailDomains.join("\n");
    problems.replaceChildren(notice("done", t("rules.done")));
    announce(t("rules.done"));
  });
  return form;
}

/**
 * What is to be changed; null where a number is none, which is then said at its field.
 * @param {Fields} fields
 * @param {Policy} known
 * @returns {Partial<Policy> | null}
 */
function changed(fields, known) {
  const domains = fields.allowedEmailDomains.control.value.split(/[\s,;]+/).filter(Boolean);
  const seats = fields.seatLimit.control;
  /** @type {Policy} */
  const wanted = {
    linkMinutes: whole(fields.linkMinutes.control),
    invitationDays: whole(fields.invitationDays.control),
    allowedEmailDomains: domains,
    seatLimit: seats.value === "" && !seats.validity.badInput ? null : whole(seats),
    locale: fields.locale.control.value || null,
  };
  for (const name of /** @type {const} */ (["linkMinutes", "invitationDays", "seatLimit"])) {
    if (!Number.isNaN(wanted[name])) continue;
    fields[name].wrong(t("rules.number"));
    return null;
  }
  const changes = Object.entries(wanted).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(known[/** @type {keyof Policy} */ (name)]),
  );
  return Object.fromEntries(changes);
}

/** @param {HTMLInputElement} control */
const whole = ({ value }) => (/^\d{1,9}$/.test(value) ? Number(value) : NaN);

/**
 * @param {ViewContext} context
 * @param {Fields} fields
 * @param {import("../api.js").Problem} problem
 * @param {Element} problems
 */
function told(context, fields, problem, problems) {
  const { field: name } = problem;
  if (name && name in fields) return fields[/** @type {keyof Fields} */ (name)].wrong(problemWords(problem));
  return refused(context, problem, problems);
}
