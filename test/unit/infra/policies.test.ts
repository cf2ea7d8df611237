/**
 * The files in infra/policies name the calls that the code makes: each is enough to play everything that an
 * adapter can do, and none names a call that is never made. What the play does not reach is found in the source.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  type AwsRights,
  type Calls,
  playAws,
  playGitHub,
  playVault,
  playVercel,
  type VaultPolicy,
} from "./policies.story.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const policy = (name: string): string => readFileSync(join(root, "infra/policies", name), "utf8");

/** The source of one vendor's adapter, comments left out. */
function sourceOf(vendor: string): string {
  const folder = join(root, "services/destinations");
  const files = readdirSync(folder).filter(
    (file) => file.startsWith(`${vendor}-`) || file === `${vendor}.ts`,
  );
  return files
    .map((file) => readFileSync(join(folder, file), "utf8"))
    .join("\n")
    .replaceAll(/\/\*[\s\S]*?\*\//g, "");
}

const all = (text: string, pattern: RegExp): string[] => [
  ...new Set([...text.matchAll(pattern)].map((match) => match.slice(1).join(" "))),
];
const sorted = (calls: Iterable<string>): string[] => [...new Set(calls)].sort();

/** First column of every table row, and what stands in the second. */
function rowsOf(markdown: string): [call: string, rest: string][] {
  return [...markdown.matchAll(/^\| +`([^`]+)` *\| *([^|]*?) *\|$/gm)].map(([, call = "", rest = ""]) => [
    call,
    rest.replaceAll("`", ""),
  ]);
}

describe("vercel-token.md", () => {
  test("names the calls that are made, and no other", async () => {
    const made = await playVercel();
    expect(sorted(rowsOf(policy("vercel-token.md")).map(([call]) => call))).toEqual(sorted(made));
    expect(notMade(all(sourceOf("vercel"), /"((?:GET|POST|PUT|PATCH|DELETE) \/[^"]+)"/g), made)).toEqual([]);
  });
});

describe("github-app-manifest.json and github-app.md", () => {
  const manifest = JSON.parse(policy("github-app-manifest.json")) as {
    default_permissions: Record<string, "read" | "write">;
    default_events: string[];
  };
  const rows = rowsOf(policy("github-app.md"));
  const calls = rows.filter(([call]) => call.includes(" "));
  /** Said in the document and not in the manifest: most do without. */
  const ON_DEMAND = { administration: "write" } as const;

  test("allow all that is done, and name the calls that are made and no other", async () => {
    const made = new Set([
      ...(await playGitHub(manifest.default_permissions)),
      ...(await playGitHub({ ...manifest.default_permissions, ...ON_DEMAND })),
    ]);
    expect(sorted(calls.map(([call]) => call))).toEqual(sorted(made));
    const source = sourceOf("github");
    expect(notMade(all(source, /"((?:GET|POST|PUT|PATCH|DELETE) \/[^"]+)"/g), made)).toEqual([]);
    // The calls for names are put together from a method and a rest.
    const composed = all(source, /#call\("([A-Z]+)", "([^"]*)"/g);
    expect(composed.length).toBeGreaterThan(5);
    const unmade = composed.filter((one) => {
      const [method = "", rest = ""] = one.split(" ");
      return ![...made].some((call) => call.startsWith(method) && call.endsWith(`s${rest}`));
    });
    expect(unmade).toEqual([]);
  });

  test("ask for the permissions of these calls, and for no other", () => {
    const needed: Record<string, string> = {};
    for (const [, permission] of rows) {
      const [name = "", level = ""] = permission.split(": ");
      if (name !== "" && needed[name] !== "write") needed[name] = level;
    }
    expect({ ...manifest.default_permissions, ...ON_DEMAND }).toEqual(needed);
  });

  test("leave out of the manifest what only making environments needs", async () => {
    expect(Object.keys(manifest.default_permissions)).not.toContain("administration");
    const made = await playGitHub(manifest.default_permissions);
    const left = calls.filter(([call]) => !made.has(call)).map(([, permission]) => permission);
    expect(left).toEqual(["administration: write"]);
    expect(policy("github-app.md")).toContain('`"administration": "write"`');
  });

  test("ask for the events that are understood", () => {
    const events = rows.map(([call]) => call).filter((call) => !call.includes(" "));
    expect(sorted(manifest.default_events)).toEqual(sorted(events));
    const source = readFileSync(join(root, "services/webhooks/github.ts"), "utf8");
    const payloads = /const PAYLOADS[^=]*= \{([^}]*)\}/.exec(source)?.[1] ?? "";
    const understood = all(payloads, /^\s*(\w+)[:,]/gm).filter((event) => event !== "ping");
    expect(sorted(manifest.default_events)).toEqual(sorted(understood));
  });
});

interface IamPolicy {
  readonly Statement: readonly {
    readonly Sid: string;
    readonly Action: readonly string[];
    readonly Resource?: string;
    readonly Condition?: { readonly StringEquals: Readonly<Record<string, string>> };
  }[];
}

/** AWS asks for these beside the call's own, for tags and for replicas on creation. */
const IMPLIED = ["ReplicateSecretToRegions", "TagResource"];

describe("aws-iam-policy.json, aws-trust-policy.json and aws-caller-policy.json", () => {
  const iam = JSON.parse(policy("aws-iam-policy.json")) as IamPolicy;
  const trust = JSON.parse(policy("aws-trust-policy.json")) as IamPolicy;
  const caller = JSON.parse(policy("aws-caller-policy.json")) as IamPolicy;
  const actions = iam.Statement.flatMap(({ Action }) => Action);
  const allowed = actions.flatMap((action) => action.split("secretsmanager:")[1] ?? []);
  const trusted = trust.Statement.flatMap(({ Action }) => Action);
  const names = iam.Statement.flatMap(({ Resource = "*" }) => Resource.split(":secret:")[1] ?? []);
  const prefix = names[0]?.replace("*", "") ?? "";
  /** As the stand-in takes them: an action and what it is for, a secret by its name. */
  const rightsOf = ({ Statement }: IamPolicy): string[] =>
    Statement.flatMap(({ Action, Resource = "*" }) =>
      Action.map((action) => `${action} ${Resource.split(":secret:").at(-1)}`),
    );
  const RIGHTS: AwsRights = {
    caller: rightsOf(caller),
    role: rightsOf(iam),
    externalId: trust.Statement[0]?.Condition?.StringEquals["sts:ExternalId"] ?? "",
    prefix,
  };

  test("allow all that is done, and name the calls that are made and no other", async () => {
    expect(RIGHTS.externalId).not.toBe("");
    const made = await playAws(RIGHTS);
    // Whoever has a credential may ask whose it is.
    const calls = [...made].filter((call) => call !== "GetCallerIdentity");
    const named = [...allowed.filter((call) => !IMPLIED.includes(call)), ...trusted.map((a) => a.slice(4))];
    expect(sorted(named)).toEqual(sorted(calls));
    expect(IMPLIED.filter((call) => !allowed.includes(call))).toEqual([]);
    expect(notMade(all(sourceOf("aws"), /new (\w+)Command\(/g), made)).toEqual([]);
  });

  test("are not enough with a single one of them missing", async () => {
    for (const right of RIGHTS.role.filter((each) => each.startsWith("secretsmanager:"))) {
      const role = RIGHTS.role.filter((each) => each !== right);
      await expect(playAws({ ...RIGHTS, role }), right).rejects.toThrow();
    }
    await expect(playAws({ ...RIGHTS, caller: [] })).rejects.toMatchObject({ code: "forbidden" });
  });

  test("reach the secrets under one prefix, which is said to be narrowed, and no other", async () => {
    expect(new Set(names)).toEqual(new Set([`${prefix}*`]));
    expect(prefix).not.toBe("");
    expect(policy("aws.md")).toContain(`\`secret:${prefix}*\``);
    await expect(playAws({ ...RIGHTS, prefix: "other/" })).rejects.toThrow();
  });

  test("have the caller assume the role that is trusted, and nothing else", () => {
    expect(caller.Statement.flatMap(({ Action }) => Action)).toEqual(trusted);
    expect(caller.Statement.map(({ Resource }) => Resource)).toEqual([
      expect.stringMatching(/^arn:aws:iam::\d{12}:role\/[^*]+$/),
    ]);
  });

  test("allow the key of a customer only through Secrets Manager", () => {
    const kms = iam.Statement.filter(({ Action }) => Action.some((action) => action.startsWith("kms:")));
    expect(kms).toHaveLength(1);
    expect(kms[0]?.Action).toEqual(["kms:Decrypt", "kms:GenerateDataKey"]);
    expect(kms[0]?.Condition?.StringEquals["kms:ViaService"]).toMatch(/^secretsmanager\./);
  });
});

describe("vault-policy.hcl", () => {
  const text = policy("vault-policy.hcl");
  const blocks = [...text.matchAll(/^path "([^"]+)" \{\n([\s\S]*?)^\}/gm)].map(
    ([, path = "", body = ""]) => ({
      path,
      calls: callsIn(body),
      capabilities: all(/capabilities = \[([^\]]*)\]/.exec(body)?.[1] ?? "", /"(\w+)"/g),
    }),
  );
  const policies = blocks.map(({ path, capabilities }) => ({ path, capabilities })) as unknown as VaultPolicy;

  test("allows all that is done, and names the calls that are made and no other", async () => {
    const made = new Set([
      ...(await playVault(policies)),
      // Without the capability "patch", as before Vault 1.9.
      ...(await playVault(without(policies, "kv/metadata/*", "patch"))),
    ]);
    const written = all(sourceOf("vault"), /"((?:GET|POST|PUT|PATCH|DELETE) [^"/]+\/[^"]+)"/g);
    expect(sorted(callsIn(text).map(([call]) => call))).toEqual(sorted(made));
    expect(notMade(written, made)).toEqual([]);
  });

  test("gives each path the capabilities of its calls, and no other", () => {
    for (const { path, calls, capabilities } of blocks) {
      const needed = calls.flatMap(([, names]) => names.split(", "));
      expect(sorted(capabilities), path).toEqual(sorted(needed));
      const mount = path.startsWith("kv1/") ? "kv1" : "kv";
      for (const [call] of calls) {
        const at = (call.split(" ")[1] ?? "").replace("{mount}", mount).replace("{path}", "*");
        expect(at).toBe(path);
      }
    }
  });

  test("is not enough with a single capability missing", async () => {
    for (const { path, capabilities } of blocks.filter(({ path }) => path.startsWith("kv"))) {
      for (const capability of capabilities) {
        // A secret that is there is updated and one that is not is created; marks are set in either of two ways.
        if (path === "kv/metadata/*" && capability !== "delete") continue;
        await expect(
          playVault(without(policies, path, capability)),
          `${path} ${capability}`,
        ).rejects.toThrow();
      }
    }
  });
});

function callsIn(text: string): [call: string, needs: string][] {
  return [...text.matchAll(/^\s*# ((?:GET|POST|PUT|PATCH|DELETE) \S+) -> (.+)$/gm)].map(
    ([, call = "", needs = ""]) => [call, needs],
  );
}

function without(policies: VaultPolicy, path: string, capability: string): VaultPolicy {
  return policies.map((rule) =>
    rule.path === path
      ? { ...rule, capabilities: rule.capabilities.filter((each) => each !== capability) }
      : rule,
  );
}

const notMade = (written: readonly string[], made: Calls): string[] => {
  expect(written.length).toBeGreaterThan(2);
  return written.filter((call) => !made.has(call));
};
