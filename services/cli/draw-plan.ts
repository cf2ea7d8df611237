/** A plan for people: in a terminal, and as Markdown for the comment of a pull request. */
import colors from "yoctocolors";
import { type DocumentPlan, PLAN_ACTIONS, type PlanAction, type PlanLine } from "../sync/document-plan.ts";
import { drawRows, screen } from "./table.ts";

const SIGNS: Readonly<Record<PlanAction, string>> = {
  create: "+",
  change: "~",
  delete: "-",
  adopt: "=",
  refuse: "!",
  keep: " ",
  unchecked: "?",
};

const PAINT: Readonly<Record<PlanAction, (text: string) => string>> = {
  create: colors.green,
  change: colors.yellow,
  delete: colors.red,
  adopt: colors.cyan,
  refuse: colors.red,
  keep: colors.dim,
  unchecked: colors.magenta,
};

export function drawPlan(plan: DocumentPlan): string {
  const rules = plan.rules.filter(worthTelling);
  const partRows = plan.parts.map(({ section, name, at, action, reason }) => [
    action,
    section,
    withPlace(name, at),
    reason,
  ]);
  const ruleRows = rules.map((rule) => [
    withPlace(rule.name, rule.at),
    rule.action,
    matched(rule),
    rule.reason,
  ]);
  const lineRows = plan.lines.map((line) => [
    PAINT[line.action](`${SIGNS[line.action]} ${line.action}`),
    withPlace(line.rule, line.at),
    line.branch ?? "(all)",
    `${line.destination}${line.target === null ? "" : `\n${line.target}`}`,
    line.name ?? "(all)",
    why(line),
  ]);
  return [
    ...(partRows.length === 0 ? [] : [drawRows(["", "section", "name", "because"], partRows, screen())]),
    ...(ruleRows.length === 0 ? [] : [drawRows(["rule", "", "branches", "because"], ruleRows, screen())]),
    ...(lineRows.length === 0
      ? []
      : [drawRows(["", "rule", "branch", "destination", "name", "because"], lineRows, screen())]),
    ...plan.warnings.map((one) => `Warning: ${about(one)}${one.hint === "" ? "" : `\n  ${one.hint}`}`),
    ...plan.unsafe.map((reason) => `Unsafe: ${reason}`),
    sentence(plan),
  ].join("\n");
}

const worthTelling = ({ action, nearMisses }: DocumentPlan["rules"][number]): boolean =>
  action !== "none" || nearMisses.length > 0;

function about({ rule, at, branch, message }: DocumentPlan["warnings"][number]): string {
  const who = [rule, branch].filter((text) => text !== null).join("/");
  const where = at === null || message.startsWith(at) ? "" : ` (${at})`;
  return who === "" ? message : `${who}${where}: ${message}`;
}

/** `web-preview matches 41 of 57` in the table's column. */
function matched({ matches, of, nearMisses }: DocumentPlan["rules"][number]): string {
  const missed = nearMisses.length === 0 ? "" : `\nmissed by little: ${nearMisses.join(", ")}`;
  return `matches ${matches} of ${of}${missed}`;
}

/** Where the document says it, below its name. */
const withPlace = (name: string, at: string | null): string => (at === null ? name : `${name}\n${at}`);

const why = ({ reason, next }: PlanLine): string => (next === null ? reason : `${reason}\n${next}`);

function sentence(plan: DocumentPlan): string {
  if (!plan.changes) {
    const refused = plan.summary.refuse;
    return refused === 0 ? "Nothing to do." : `Nothing to do; ${refused} refused.`;
  }
  return `${counts(plan) || "Rules and accounts change."}\nPlan ${plan.id}${
    plan.unsafe.length === 0 ? "" : `: applying it needs --confirm ${plan.id}`
  }`;
}

const counts = ({ summary }: DocumentPlan): string =>
  PLAN_ACTIONS.flatMap((action) => (summary[action] === 0 ? [] : [`${summary[action]} ${action}`])).join(
    ", ",
  );

/** At most so many lines: a comment of GitHub's holds 65,536 characters. */
const MOST_LINES = 200;

export function markdownPlan(plan: DocumentPlan): string {
  const title = plan.changes
    ? `### Branchline plan: ${counts(plan) || "changes"}`
    : "### Branchline plan: nothing to do";
  const parts = plan.parts.map(({ section, name, at, action, reason }) => [
    action,
    withPlace(`${section}.${name}`, at),
    reason,
  ]);
  const rules = plan.rules
    .filter(worthTelling)
    .map((rule) => [withPlace(rule.name, rule.at), rule.action, matched(rule), rule.reason]);
  const shown = plan.lines.slice(0, MOST_LINES);
  const lines = shown.map((line) => [
    `${SIGNS[line.action]} ${line.action}`,
    withPlace(line.rule, line.at),
    line.branch ?? "(all)",
    [line.destination, line.target].filter((text) => text !== null).join(": "),
    line.name ?? "(all)",
    why(line),
  ]);
  const more = plan.lines.length - shown.length;
  return [
    title,
    ...plan.unsafe.map((reason) => `> [!CAUTION]\n> ${cell(reason)}`),
    ...tableOf(["", "what", "because"], parts),
    ...tableOf(["rule", "", "branches", "because"], rules),
    ...tableOf(["", "rule", "branch", "destination", "name", "because"], lines),
    ...(more > 0 ? [`... and ${more} lines more.`] : []),
    ...plan.warnings.map((one) => `- :warning: ${cell(`${about(one)} ${one.hint}`.trimEnd())}`),
    `Plan \`${plan.id}\``,
  ].join("\n\n");
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [[row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n")];
}

/** Names of branches are anybody's: nothing of them is taken for Markdown or HTML, and nobody is mentioned. */
const cell = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(/([\\`*_{}[\]()#+!|~])/g, "\\$1")
    .replaceAll("@", "&#64;")
    .replaceAll("\n", "<br>");
