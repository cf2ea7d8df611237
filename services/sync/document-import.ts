/**
 * What an import found at destinations, and what it proposes: per rule, branch, destination and name, and never a value.
 * The schema is what `branchline import --json` prints and `POST /v1/import` answers. Fields are only ever added.
 */
import { z } from "zod";

export const IMPORT_STATUSES = [
  "same",
  "differs",
  "unreadable",
  "integration",
  "absent",
  "unchecked",
] as const;
export type ImportStatus = (typeof IMPORT_STATUSES)[number];

export const importLine = z.object({
  rule: z.string(),
  /** Null: for all branches, which are not known yet. */
  branch: z.string().nullable(),
  destination: z.string(),
  /** The place, as its adapter writes it; null: it could not be worked out. */
  target: z.string().nullable(),
  /** Null: all names of the rule. */
  name: z.string().nullable(),
  /** Compared with what Branchline would write there. */
  status: z.enum(IMPORT_STATUSES),
  /** Of "differs": the names of what differs, such as sslmode; "value": it is no form of this login. */
  differs: z.array(z.string()).readonly(),
  /** What is there, as a rule writes it; null: a rule has no words for it, or nobody knows what it is. */
  expression: z.string().nullable(),
  /** Branchline wrote it and keeps it in step: there is nothing to adopt. */
  kept: z.boolean(),
  /** Why, where the status does not say it all. */
  reason: z.string(),
});
export type ImportLine = z.output<typeof importLine>;

export const importedRule = z.object({
  name: z.string(),
  /** As what is there has them, or else as Branchline would write them. */
  variables: z.record(z.string(), z.string()),
  /** Names to hand over. What can be read of them is the same on every branch: it is not changed by it. */
  adopt: z.array(z.string()).readonly(),
  /** Of `adopt`: nobody can read what is there, and it is replaced. */
  replaces: z.array(z.string()).readonly(),
});
export type ImportedRule = z.output<typeof importedRule>;

export const importedSource = z.object({
  source: z.string(),
  /** What the vendor itself has connected: vercel, github. Null: it could not be asked. */
  integrations: z.array(z.string()).readonly().nullable(),
  /** Why it could not be asked; else empty. */
  reason: z.string(),
});
export type ImportedSource = z.output<typeof importedSource>;

export const documentImport = z.object({
  /** Sources that rules name and that were asked. */
  sources: z.array(importedSource).readonly(),
  rules: z.array(importedRule).readonly(),
  lines: z.array(importLine).readonly(),
  /** How many lines there are of each kind. */
  summary: z.record(z.enum(IMPORT_STATUSES), z.int().nonnegative()),
  /** What to know before the rules are applied, in sentences. */
  warnings: z.array(z.string()).readonly(),
});
export type DocumentImport = z.output<typeof documentImport>;

/** What is known of one rule before anything is proposed. */
export interface Surveyed {
  readonly name: string;
  /** As wanted, by name: those of the rule, or the usual ones of what was found. */
  readonly wanted: Readonly<Record<string, string>>;
  readonly lines: readonly ImportLine[];
}

/** The proposal. Only with `replaceUnreadable` are names handed over that nobody can read. Pure. */
export function finishImport(
  sources: readonly ImportedSource[],
  surveyed: readonly Surveyed[],
  replaceUnreadable: boolean,
): DocumentImport {
  const rules = surveyed.map((one) => proposeFor(one, replaceUnreadable));
  const lines = surveyed.flatMap((one) => one.lines);
  const summary = Object.fromEntries(
    IMPORT_STATUSES.map((status) => [status, lines.filter((line) => line.status === status).length]),
  ) as Record<ImportStatus, number>;
  const warnings = [...sources.flatMap(connected), ...warningsOf(lines, summary, rules, replaceUnreadable)];
  return { sources, rules, lines, summary, warnings };
}

/** Its names may not be there yet, or stand in deployments alone, where nobody can see them. */
function connected({ source, integrations, reason }: ImportedSource): string[] {
  if (integrations === null)
    return [`Which integrations Neon has for the source ${source} could not be asked: ${reason}.`];
  if (integrations.length === 0) return [];
  return [
    `Neon itself keeps the source ${source} in step with ${integrations.join(", ")}, by its own integration: remove it at Neon before Branchline takes over the same names, or choose other names.`,
  ];
}

function proposeFor({ name: rule, wanted, lines }: Surveyed, replaceUnreadable: boolean): ImportedRule {
  const names = Object.keys(wanted);
  const of = (name: string) => lines.filter((line) => line.name === name);
  const variables = Object.fromEntries(
    names.map((name) => [name, mostFound(of(name)) ?? wanted[name] ?? ""]),
  );
  const unseen = lines.some((line) => line.name === null);
  const adopted = names.filter((name) => {
    const there = of(name).filter(({ status }) => status !== "absent");
    // A rule hands over a name on all its branches: one that nobody could look at might hold anything.
    const may = there.every((line) => isHandedOver(line, variables[name] ?? "", replaceUnreadable));
    return !unseen && may && there.some(({ kept }) => !kept);
  });
  const replaces = adopted.filter((name) => of(name).some(replacedBlindly));
  return { name: rule, variables, adopt: adopted, replaces };
}

function isHandedOver(line: ImportLine, expression: string, replaceUnreadable: boolean): boolean {
  if (line.kept) return true;
  if (line.status === "unreadable") return replaceUnreadable;
  return (line.status === "same" || line.status === "differs") && line.expression === expression;
}

const replacedBlindly = ({ status, kept }: ImportLine): boolean => status === "unreadable" && !kept;

/** What is there on most branches. */
function mostFound(lines: readonly ImportLine[]): string | undefined {
  const counts = new Map<string, number>();
  for (const { expression } of lines)
    if (expression !== null) counts.set(expression, (counts.get(expression) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
}

function warningsOf(
  lines: readonly ImportLine[],
  summary: Readonly<Record<ImportStatus, number>>,
  rules: readonly ImportedRule[],
  replaceUnreadable: boolean,
): string[] {
  const blind = lines.filter(replacedBlindly);
  const replaced = blind.filter(({ rule, name }) =>
    rules.some((one) => one.name === rule && one.replaces.includes(name ?? "")),
  );
  return [
    ...(replaced.length === 0
      ? []
      : [
          `${counted(replaced.length, "value")} that nobody can read back would be replaced. What they were cannot be restored: ${placesOf(replaced)}.`,
        ]),
    ...(blind.length === 0 || replaceUnreadable
      ? []
      : [
          `${counted(blind.length, "value")} cannot be read back and are not handed over. With --replace-unreadable they would be replaced, and what they were could not be restored.`,
        ]),
    ...(summary.integration === 0
      ? []
      : [
          `${counted(summary.integration, "name")} belong to an integration or to something else at the vendor (see its line), and Branchline never takes them over: remove that at the vendor, or choose other names.`,
        ]),
    ...(summary.unchecked === 0
      ? []
      : [`${counted(summary.unchecked, "line")} could not be looked at: nothing is handed over there.`]),
  ];
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

const placesOf = (lines: readonly ImportLine[]): string =>
  lines.map(({ name, target }) => `${name} at ${target}`).join(", ");

/** `differs: sslmode, connection_limit`, or the status alone. */
export const statusWords = ({ status, differs }: Pick<ImportLine, "status" | "differs">): string =>
  status === "differs" ? `differs: ${differs.join(", ")}` : status;
