/** What the model's user has written: two rules that share a place, so that one push deals with both. */
import { DEFAULT_CONNECTION, type Rule } from "../../../services/sync/model.ts";
import { ROLE } from "./neon.ts";

const common: Omit<Rule, "name" | "variables"> = {
  source: "shop",
  destination: "vendor",
  branches: { include: ["preview/**"] },
  roles: { default: ROLE },
  database: "app",
  target: {},
  policy: "upsert-only",
  onBranchDelete: "delete",
  exposure: "preview",
  productionReason: null,
  inheritedPassword: "warn",
  proof: "onChange",
  onDrift: "repair",
  tier: "ticket",
  adopt: [],
  connection: DEFAULT_CONNECTION,
};

export const RULES: readonly Rule[] = [
  { ...common, name: "app", variables: { DATABASE_URL: "pooled", DATABASE_URL_UNPOOLED: "direct" } },
  { ...common, name: "jobs", variables: { JOBS_URL: "direct" } },
];

export const namesOf = (rule: Rule): string[] => Object.keys(rule.variables);
