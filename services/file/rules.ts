/** The rules of the file: what needs more than one field, or something beside the rule, to be judged. */
import type { z } from "zod";
import type { BranchSelector, ConnectionOptions, Rule } from "../sync/model.ts";
import { selectsSomething } from "../sync/patterns.ts";
import { lintRule, PRESETS } from "../sync/presets.ts";
import { didYouMean } from "../sync/suggest.ts";
import { DEFAULT_ALIAS } from "../sync/variables.ts";
import { pruneNulls, resolveExtends, without } from "./extends.ts";
import { type Findings, faultAt, faultsOf, type Part } from "./problems.ts";
import { branches, NAME_EXPECTED, name as nameSchema, type RuleBlock, ruleBlock } from "./schema.ts";
import { type Aim, aimAt, type KnownDestination } from "./target.ts";
import { lookUp, type MapTree, toValue } from "./tree.ts";
import {
  aliasesOf,
  checkExpressions,
  checkNames,
  expandVariables,
  presetsOf,
  type WrittenVariable,
} from "./variables.ts";

/** What a rule may name. `null`: named in the file, but its block cannot be read. */
export interface Scope {
  /** With the id of the source's project, if it has one. */
  readonly sources: ReadonlyMap<string, { readonly project: string | null } | null>;
  readonly destinations: ReadonlyMap<string, KnownDestination | null>;
  /** Rules may leave `variables` out: an import finds them. */
  readonly withoutVariables?: boolean;
}

/** A rule that says where to look, and not for what. */
const openRule = ruleBlock.extend({ variables: ruleBlock.shape.variables.default({}) });

/** All rules that could be read. What is wrong goes to the findings. */
export function readRules(section: MapTree, scope: Scope, findings: Findings): Rule[] {
  const { rules, faults } = resolveExtends(section);
  for (const fault of faults) findings.add(fault);
  for (const [name, { keyAt, tree }] of section.entries) {
    const path = ["rules", name];
    if (name.startsWith("x-")) continue;
    if (!nameSchema.safeParse(name).success)
      findings.add({ at: keyAt, path, problem: NAME_EXPECTED, hint: "" });
    if (tree.kind !== "map") findings.add({ at: tree.at, path, problem: "expected a mapping", hint: "" });
  }
  const looked = [...rules].map(([name, tree]) => lookAt(name, tree, scope, findings));
  findClashes(looked, scope, findings);
  return looked.flatMap(({ rule }) => (rule === null ? [] : [rule]));
}

/** Fields that are thought of and not there yet. */
const TO_COME = ["consumers", "firstBuild", "fallback", "pullRequest"];

interface Looked {
  readonly name: string;
  readonly part: Part;
  readonly rule: Rule | null;
  readonly aim: Aim;
  readonly destination: KnownDestination | undefined;
  readonly variables: readonly WrittenVariable[];
}

function lookAt(name: string, written: MapTree, scope: Scope, findings: Findings): Looked {
  const whole: Part = { tree: pruneNulls(written, ["variables"]), path: ["rules", name] };
  for (const key of TO_COME)
    if (lookUp(whole.tree, [key]) !== undefined)
      findings.add(faultAt(whole, [key], "is not supported yet", "Leave it out.", "key"));
  const tree = without(pruneNulls(written, ["variables"]), (key) => TO_COME.includes(key));
  const part: Part = { tree, path: ["rules", name] };

  const parsed = (scope.withoutVariables ? openRule : ruleBlock).safeParse(toValue(tree));
  for (const fault of faultsOf(parsed.error?.issues ?? [], part, ruleBlock)) findings.add(fault);

  checkNamed(part, "source", scope.sources, findings);
  checkNamed(part, "destination", scope.destinations, findings);
  checkSelector(part, findings);
  const source = scope.sources.get(wordAt(part, "source") ?? "") ?? null;
  const destination = scope.destinations.get(wordAt(part, "destination") ?? "") ?? undefined;

  const { aliases, faults: roleFaults } = aliasesOf(part);
  const { variables, faults: presetFaults } = expandVariables(part, source?.project ?? null);
  const aim = aimAt(part, destination);
  const faults = [
    ...roleFaults,
    ...presetFaults,
    ...checkExpressions(variables, aliases, part),
    ...(destination === undefined ? [] : checkNames(variables, destination.adapter.traits, part)),
    ...aim.faults,
  ];
  for (const fault of faults) findings.add(fault);
  checkExposure(part, aim, findings);
  checkAdopted(part, variables, destination, findings);
  const rule = parsed.success ? toRule(name, parsed.data, variables) : null;
  warnOf(name, part, variables, findings);
  return { name, part, rule, aim, destination, variables };
}

/** What may be meant and mostly is not, and what a preset asks to be thought of. */
function warnOf(name: string, part: Part, written: readonly WrittenVariable[], findings: Findings): void {
  const variables = Object.fromEntries(written.map((one) => [one.name, one.expression]));
  const places = new Map(written.map((one) => [`variables.${one.name}`, one.path]));
  for (const { path, code, message, hint } of lintRule({ name, variables })) {
    const at = places.get(path) ?? ["variables"];
    findings.warn(name, code, faultAt(part, at, message, hint));
  }
  for (const { text, path } of presetsOf(part)) {
    const caution = PRESETS.get(text.slice(text.indexOf(".") + 1))?.caution;
    if (caution != null) findings.warn(name, "preset_caution", faultAt(part, path, caution));
  }
}

function checkNamed(
  part: Part,
  field: "source" | "destination",
  known: ReadonlyMap<string, unknown>,
  findings: Findings,
) {
  const word = wordAt(part, field);
  if (word === undefined || known.has(word)) return;
  const hint = didYouMean(word, known.keys()) || `Add it under ${field}s.`;
  findings.add(faultAt(part, [field], `there is no ${field} "${word}"`, hint));
}

function checkSelector(part: Part, findings: Findings): void {
  const tree = lookUp(part.tree, ["branches"]);
  if (tree === undefined) return;
  const parsed = branches.safeParse(toValue(tree));
  if (!parsed.success || selectsSomething(parsed.data)) return;
  findings.add(
    faultAt(part, ["branches"], "selects no branch", 'Add a condition, such as include: ["**"] for all.'),
  );
}

function checkExposure(part: Part, { exposure: derived }: Aim, findings: Findings): void {
  const declared = wordAt(part, "exposure");
  if (derived === null && declared === undefined && lookUp(part.tree, ["exposure"]) === undefined)
    findings.add(
      faultAt(
        part,
        ["exposure"],
        '"exposure" is missing: it cannot be derived from this target',
        "Say production, staging, preview or development: what a reader of the target could harm.",
      ),
    );
  if (derived && declared !== undefined && declared !== derived)
    findings.add(
      faultAt(part, ["exposure"], `the exposure of this target is ${derived}`, "Leave exposure out."),
    );
}

/** In any spelling that the destination takes for the same name. */
function checkAdopted(
  part: Part,
  variables: readonly WrittenVariable[],
  destination: KnownDestination | undefined,
  findings: Findings,
): void {
  const adopt = lookUp(part.tree, ["adopt"]);
  if (adopt?.kind !== "list" || variables.length === 0) return;
  const normal = (name: string) => destination?.adapter.traits.normaliseName(name) ?? name;
  const names = variables.map(({ name }) => name);
  const known = new Set(names.map(normal));
  for (const [index, item] of adopt.items.entries()) {
    if (item.kind !== "scalar" || typeof item.value !== "string" || known.has(normal(item.value))) continue;
    findings.add(
      faultAt(part, ["adopt", index], "is none of the rule's variables", didYouMean(item.value, names)),
    );
  }
}

/**
 * Two rules that write one name to one place. Found where the target is the same for every branch, or
 * where both rules take the same branches with the same templates; the rest shows when it is planned.
 */
function findClashes(looked: readonly Looked[], scope: Scope, findings: Findings): void {
  const taken = new Map<string, string>();
  for (const { name, part, aim, variables } of looked) {
    const destination = scope.destinations.get(wordAt(part, "destination") ?? "");
    const place = aim.place ?? sameForAll(part);
    if (!destination || place === null) continue;
    for (const variable of variables) {
      const key = `${place} ${destination.adapter.traits.normaliseName(variable.name)}`;
      const other = taken.get(key);
      if (other !== undefined && other !== name)
        findings.add(
          faultAt(
            part,
            variable.path,
            `the rule "${other}" writes ${variable.name} to the same target`,
            "Give one of them another name or target.",
            "key",
          ),
        );
      else taken.set(key, name);
    }
  }
}

function sameForAll(part: Part): string | null {
  const fields = ["source", "branches", "destination", "target"].map((field) => lookUp(part.tree, [field]));
  return fields.includes(undefined) ? null : JSON.stringify(fields.map((tree) => tree && toValue(tree)));
}

function wordAt(part: Part, field: string): string | undefined {
  const tree = lookUp(part.tree, [field]);
  return tree?.kind === "scalar" && typeof tree.value === "string" ? tree.value : undefined;
}

function toRule(name: string, block: RuleBlock, variables: readonly WrittenVariable[]): Rule {
  return {
    name,
    source: block.source,
    destination: block.destination,
    branches: toSelector(block.branches),
    roles: block.roles ?? { [DEFAULT_ALIAS]: block.role ?? "" },
    database: block.database,
    target: block.target,
    variables: Object.fromEntries(variables.map((variable) => [variable.name, variable.expression])),
    policy: block.policy,
    onBranchDelete: block.onBranchDelete,
    exposure: block.exposure ?? null,
    productionReason: block.productionReason ?? null,
    inheritedPassword: block.inheritedPassword,
    proof: block.proof,
    onDrift: block.onDrift,
    tier: block.tier,
    adopt: block.adopt,
    connection: toConnection(block.connection),
  };
}

/** Only what is given, so that the same selector always has the same text. */
function toSelector(written: z.output<typeof branches>): BranchSelector {
  const { olderThan, youngerThan, ...rest } = written;
  return {
    ...rest,
    ...(olderThan === undefined ? {} : { olderThanMs: olderThan }),
    ...(youngerThan === undefined ? {} : { youngerThanMs: youngerThan }),
  };
}

function toConnection(written: RuleBlock["connection"]): ConnectionOptions {
  const { connectTimeout, applicationName, ...rest } = written;
  return {
    ...rest,
    connectTimeoutSeconds: connectTimeout === undefined ? null : connectTimeout / 1000,
    applicationName: applicationName ?? null,
  };
}
