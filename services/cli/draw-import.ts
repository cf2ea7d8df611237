/** What an import found, for people: a table, and the rules that take it over as YAML with what was found beside them. */
import { Document, isMap, isScalar } from "yaml";
import type { SentFile } from "../file/posted.ts";
import { lookUp, readYaml, toValue } from "../file/tree.ts";
import {
  type DocumentImport,
  type ImportedRule,
  type ImportLine,
  statusWords,
} from "../sync/document-import.ts";
import { drawRows, screen } from "./table.ts";

export function drawReport({ lines, warnings }: DocumentImport): string {
  const rows = lines.map((line) => [
    line.rule,
    line.branch ?? "(all)",
    `${line.destination}${line.target === null ? "" : `\n${line.target}`}`,
    line.name ?? "(all)",
    `${statusWords(line)}${line.kept ? " (kept in step)" : ""}`,
    line.reason,
  ]);
  const head = ["rule", "branch", "destination", "name", "", "because"];
  return [
    rows.length === 0 ? "Nothing was found." : drawRows(head, rows, screen()),
    ...warnings.map((text) => `Note: ${text}`),
  ].join("\n");
}

/** The rules of the files with the variables and names that were found; sources and destinations stay where they are. */
export function writeRules(files: readonly SentFile[], found: DocumentImport): string {
  const written = Object.assign({}, ...files.map(({ text }) => rulesIn(text))) as Record<string, object>;
  const rules = Object.fromEntries(
    Object.entries(written).map(([name, rule]) => {
      const proposed = found.rules.find((one) => one.name === name);
      return [name, proposed === undefined ? rule : { ...rule, ...partsOf(proposed) }];
    }),
  );
  const document = new Document({ rules }, { aliasDuplicateObjects: false });
  const head = [
    "What is at the destinations already, as rules. Plan and apply them when they are right.",
    ...found.warnings,
  ];
  document.commentBefore = comment(head);
  for (const { name } of found.rules) describe(document, name, found.lines);
  return document.toString({ lineWidth: 0 });
}

/** A rule for which nothing was found stays without variables, so that it can be looked at again. */
const partsOf = ({ variables, adopt }: ImportedRule): object =>
  Object.keys(variables).length === 0 ? {} : { variables, adopt };

function rulesIn(text: string): unknown {
  const { tree } = readYaml(text);
  const rules = tree === null ? undefined : lookUp(tree, ["rules"]);
  return rules === undefined ? {} : toValue(rules);
}

/** Each name's comment says what is there on which branches. */
function describe(document: Document, rule: string, all: readonly ImportLine[]): void {
  const lines = all.filter((line) => line.rule === rule);
  const names = document.getIn(["rules", rule, "variables"]);
  const written = new Set<string>();
  for (const pair of isMap(names) ? names.items : []) {
    if (!isScalar(pair.key)) continue;
    const name = String(pair.key.value);
    written.add(name);
    const words = wordsFor(lines.filter((line) => line.name === name));
    if (words.length > 0) pair.key.commentBefore = comment(words);
  }
  const others = lines.filter(({ name }) => name === null || !written.has(name));
  const node = document.getIn(["rules", rule]);
  const [first] = isMap(node) ? node.items : [];
  if (first !== undefined && isScalar(first.key) && others.length > 0)
    first.key.commentBefore = comment(wordsFor(others, true));
}

/** `same: preview/a, preview/b` */
function wordsFor(lines: readonly ImportLine[], named = false): string[] {
  const branches = new Map<string, string[]>();
  for (const line of lines) {
    const reason = line.reason === "" ? "" : ` (${line.reason})`;
    const status = `${named && line.name !== null ? `${line.name} ` : ""}${statusWords(line)}${reason}`;
    branches.set(status, [...(branches.get(status) ?? []), line.branch ?? "all branches"]);
  }
  return [...branches].map(([status, on]) => `${status}: ${on.join(", ")}`);
}

/** Names of branches are anybody's: no line of a comment ends before we end it. */
const comment = (lines: readonly string[]): string =>
  lines.map((line) => ` ${line.replaceAll(/[\p{Cc}\u0085\u2028\u2029]/gu, " ")}`).join("\n");
