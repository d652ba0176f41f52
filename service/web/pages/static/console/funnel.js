// The funnel of the last weeks' invitations. The numbers are text; the bars show them by week.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { h } from "../page.js";
import { formatDay, formatPercent, t } from "../words.js";

/** @typedef {import("../operations.js").FunnelWeek} FunnelWeek */
/** @typedef {"invited" | "delivered" | "opened" | "accepted"} Stage */

const WEEKS = 8;
/** @type {Stage[]} Each includes the next. */
const STAGES = ["invited", "delivered", "opened", "accepted"];
const SVG = "http://www.w3.org/2000/svg";
const BAR = { width: 10, gap: 3, height: 32 };

/** The empty panel. It is hidden while there are no invitations. */
export const funnelPanel = () => h("section", { class: "panel funnel", "aria-labelledby": "funnel-title", hidden: true });

/**
 * Loads the funnel and draws it.
 * @param {string} id of the community
 * @param {HTMLElement} panel
 * @param {AbortSignal} signal
 */
export async function drawFunnel(id, panel, signal) {
  const { community } = await ask(api.FUNNEL, { id, weeks: WEEKS }, { signal });
  const weeks = community?.invitationFunnel ?? [];
  const invited = sum(weeks, "invited");
  panel.hidden = invited === 0;
  if (JSON.stringify(weeks) === panel.dataset["shown"]) return;
  panel.dataset["shown"] = JSON.stringify(weeks);
  const open = panel.querySelector("details")?.open ?? false;
  const focused = panel.contains(document.activeElement);
  panel.replaceChildren(
    h("h2", { id: "funnel-title" }, t("funnel.title", { count: WEEKS })),
    h(
      "ol",
      { class: "stages" },
      STAGES.map((stage) => column(weeks, stage, invited)),
    ),
    h("details", { open }, h("summary", null, t("funnel.table")), table(weeks)),
  );
  if (focused) panel.querySelector("summary")?.focus({ preventScroll: true });
}

/**
 * @param {FunnelWeek[]} weeks
 * @param {Stage} stage
 */
const sum = (weeks, stage) => weeks.reduce((total, week) => total + week[stage], 0);

/**
 * @param {FunnelWeek[]} weeks
 * @param {Stage} stage
 * @param {number} invited
 */
function column(weeks, stage, invited) {
  const number = sum(weeks, stage);
  const share = stage === "invited" || invited === 0 ? null : h("span", { class: "quiet" }, formatPercent(number / invited));
  return h(
    "li",
    null,
    h("span", { class: "stage" }, t(`funnel.${stage}`)),
    h("span", { class: "total" }, h("strong", null, number), " ", share),
    bars(weeks, stage),
  );
}

/**
 * @param {FunnelWeek[]} weeks
 * @param {Stage} stage
 */
function bars(weeks, stage) {
  const most = Math.max(1, ...weeks.map((week) => week.invited));
  const step = BAR.width + BAR.gap;
  const picture = shape("svg", { viewBox: `0 0 ${step * weeks.length - BAR.gap} ${BAR.height}`, "aria-hidden": "true" });
  weeks.forEach((week, index) => {
    const full = Math.max(1, (week.invited / most) * BAR.height);
    const height = week[stage] === 0 ? 0 : Math.max(2, (week[stage] / most) * BAR.height);
    const position = { x: index * step, width: BAR.width, rx: 1.5 };
    picture.append(
      shape("rect", { ...position, y: BAR.height - full, height: full, class: "all" }),
      shape("rect", { ...position, y: BAR.height - height, height, class: "reached" }),
    );
  });
  return picture;
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 */
function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/** @param {FunnelWeek[]} weeks */
function table(weeks) {
  const head = h(
    "tr",
    null,
    h("th", { scope: "col" }, t("funnel.week")),
    STAGES.map((stage) => h("th", { scope: "col" }, t(`funnel.${stage}`))),
  );
  const rows = weeks.map((week) =>
    h(
      "tr",
      null,
      h("th", { scope: "row" }, formatDay(week.startsAt)),
      STAGES.map((stage) => h("td", null, week[stage])),
    ),
  );
  return h("div", { class: "scroll" }, h("table", null, h("thead", null, head), h("tbody", null, rows)));
}
