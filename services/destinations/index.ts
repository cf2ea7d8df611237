/** Every kind of destination. The only list: adding one is an import and a line here. */
import type { DestinationAdapter } from "../sync/ports.ts";
import { awsSecretsManager } from "./aws-secrets-manager.ts";
import { github } from "./github.ts";
import { memory } from "./memory.ts";
import { vault } from "./vault.ts";
import { vercel } from "./vercel.ts";

const ALL: readonly DestinationAdapter[] = [
  vercel,
  awsSecretsManager,
  vault,
  github,
  memory, //
];

/** By kind, which is the key of its block in branchline.yaml. */
export const destinations: ReadonlyMap<string, DestinationAdapter> = new Map(
  ALL.map((adapter) => [adapter.kind, adapter]),
);
