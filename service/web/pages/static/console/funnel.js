// The funnel of the last weeks' invitations. The numbers are text; the bars show them by week.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { h } from "../page.js";
import { formatDay, formatPercent, t } from "../words.js";

/** @typedef {import("../operations.js").FunnelWeek} FunnelWeek */
/** @typedef {"invited" | "sent" | "delivered" | "opened" | "accepted"} Stage */

const WEEKS = 8;
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
      stagesOf(weeks).map((stage) => column(weeks, stage, invited)),
    ),
    isReported(weeks) ? "" : h("p", { class: "hint" }, t("funnel.unreported")),
    h("details", { open }, h("summary", null, t("funnel.table")), table(weeks)),
  );
  if (focused) panel.querySelector("summary")?.focus({ preventScroll: true });
}

/**
 * Whether the deliveries of all these invitations are known. With SMTP they are not.
 * @param {FunnelWeek[]} weeks
 */
const isReported = (weeks) => weeks.every(({ invited, delivered }) => invited === 0 || delivered !== null);

/**
 * The stages of invitations. Each includes the next. Unknown deliveries make no stage: zero would mean that none arrived.
 * @param {FunnelWeek[]} weeks
 * @returns {Stage[]}
 */
const stagesOf = (weeks) => ["invited", isReported(weeks) ? "delivered" : "sent", "opened", "accepted"];

/**
 * @param {FunnelWeek[]} weeks
 * @param {Stage} stage
 */
const sum = (weeks, stage) => weeks.reduce((total, week) => total + (week[stage] ?? 0), 0);

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
    const number = week[stage] ?? 0;
    const height = number === 0 ? 0 : Math.max(2, (number / most) * BAR.height);
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

/** @type {Stage[]} */
const COLUMNS = ["invited", "sent", "delivered", "opened", "accepted"];

/** @param {FunnelWeek[]} weeks */
function table(weeks) {
  const columns = COLUMNS.filter((stage) => stage !== "delivered" || weeks.some(({ delivered }) => delivered !== null));
  const head = h(
    "tr",
    null,
    h("th", { scope: "col" }, t("funnel.week")),
    columns.map((stage) => h("th", { scope: "col" }, t(`funnel.${stage}`))),
  );
  const rows = weeks.map((week) =>
    h(
      "tr",
      null,
      h("th", { scope: "row" }, formatDay(week.startsAt)),
      columns.map((stage) => h("td", null, week[stage] ?? t("funnel.unknown"))),
    ),
  );
  return h("div", { class: "scroll" }, h("table", null, h("thead", null, head), h("tbody", null, rows)));
}
