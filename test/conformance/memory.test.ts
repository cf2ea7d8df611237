import { randomUUID } from "node:crypto";
import {
  createMemoryDestination,
  type MemoryBlock,
  type MemoryOptions,
  type MemoryTarget,
} from "../../services/destinations/memory.ts";
import { memoryStore } from "../../services/destinations/memory-store.ts";
import type { Code } from "../../services/sync/errors.ts";
import { Secret } from "../../services/sync/secret.ts";
import { type DestinationFixture, describeDestination } from "./destination.suite.ts";

/** Every class of vendor that the core has to do with. */
const CLASSES: Readonly<Record<string, MemoryOptions>> = {
  "memory, with everything": {},
  "memory, like Vercel": { values: "write-only", compareAndSet: false, versionGrainMs: 1 },
  "memory, like GitHub": {
    values: "write-only",
    createOnly: false,
    compareAndSet: false,
    mark: false,
    versionGrainMs: 1_000,
  },
  "memory, like Vault": { grain: "atomic" },
};

for (const [name, options] of Object.entries(CLASSES))
  describeDestination(name, { open: () => open(options) });

const FAULT_CODES: Readonly<Record<number, Code>> = {
  403: "forbidden",
  429: "rate_limited",
  500: "unavailable",
};

async function open(options: MemoryOptions): Promise<DestinationFixture<MemoryBlock, MemoryTarget>> {
  const adapter = createMemoryDestination(options);
  const name = randomUUID();
  const store = memoryStore(name);
  const token = "memory-token-0123456789";
  const block = { store: name, token: "env:MEMORY_TOKEN" };
  const place = (target: unknown) => adapter.place(adapter.parseTarget(adapter.block.parse(block), target));
  let now = Date.parse("2026-01-01T00:00:00Z");
  store.token = token;
  store.now = () => now;
  store.missing.add(place({ environment: "nowhere" }));
  return {
    adapter,
    block,
    credential: () => new Secret(token),
    wrongCredential: () => new Secret("memory-token-wrong"),
    secrets: [token, "memory-token-wrong"],
    target: (n) => ({ environment: `env-${n}` }),
    missingTarget: { environment: "nowhere" },
    badTarget: { environment: "" },
    badNames: ["not a name", "1ST"],
    putForeign: async (target, key, value) => store.putForeign(place(target), key, value),
    readBack: async (target, key) => store.values(place(target))[key],
    fault: async ({ kind, status = 500, retryAfter, during }) =>
      store.fault({
        kind: kind === "status" ? "error" : kind,
        during,
        ...(kind === "status" ? { code: FAULT_CODES[status] ?? "internal" } : {}),
        ...(retryAfter === undefined ? {} : { retryAfterMs: Number(retryAfter) * 1_000 }),
      }),
    clearFaults: async () => store.clearFaults(),
    calls: async () => store.calls.length,
    tick: async () => {
      now += 2_000;
    },
    close: async () => store.clearFaults(),
  };
}
