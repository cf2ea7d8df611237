/** Which branches a rule means, of those that the last watch saw. */
import { liveBranches } from "../store/branch.ts";
import type { Db } from "../store/db.ts";
import { ruleInForce } from "../store/rule.ts";
import { sourceById } from "../store/source.ts";
import { among, meansBranch } from "../store/visible.ts";
import { nearMisses, selectBranch } from "../sync/patterns.ts";
import type { Matching } from "./ports.ts";

export function createMatching(db: Db): Matching {
  return async (name, limits) => {
    const rule = await ruleInForce(db, name);
    const source = rule && (await sourceById(db, rule.sourceId));
    if (rule === undefined || source === undefined) return null;
    const { sources = null, branches: globs = null, destinations = null } = limits ?? {};
    if (!among(sources, source.name) || !among(destinations, rule.definition.destination)) return null;
    const rows = (await liveBranches(db, source.id)).filter((row) => meansBranch(globs, row.name));
    const names = new Map(rows.map((row) => [row.neonId, row.name]));
    const now = new Date();
    const branches = rows
      .map((row) => {
        const { isDefault, isProtected, parentNeonId, ...facts } = row;
        const parentName = parentNeonId === null ? null : (names.get(parentNeonId) ?? null);
        const view = { ...facts, default: isDefault, protected: isProtected, createdAt: row.neonCreatedAt };
        const { matches, why } = selectBranch(rule.definition.branches, { ...view, parentName }, now);
        return { id: row.id, name: row.name, matches, why };
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    return {
      rule: rule.name,
      source: source.name,
      matches: branches.filter((branch) => branch.matches).length,
      of: branches.length,
      branches,
      nearMisses: nearMisses(
        rule.definition.branches,
        branches.map((branch) => branch.name),
      ),
    };
  };
}
