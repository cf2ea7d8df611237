import { randomUUID } from "node:crypto";
import { describe } from "vitest";
import { startVault, VAULT_APPROLE } from "../../infra/sandbox/vault.ts";
import { type VaultBlock, type VaultTarget, vault } from "../../services/destinations/vault.ts";
import { Secret } from "../../services/sync/secret.ts";
import { type DestinationFixture, describeDestination } from "./destination.suite.ts";
import { NEEDS_FAULTS } from "./needs-faults.ts";

describeDestination("Vault KV version 2, stand-in", { open: () => openStandIn("kv") });

describeDestination("Vault KV version 1, stand-in", {
  open: () => openStandIn("kv1"),
  skip: [
    {
      reason: "version 1 has no versions, no check-and-set and no metadata, and says so in each observation",
      tests: [
        "sees what it has put",
        "sees an edit from outside as a new version",
        "leaves a name alone that somebody else made since the observation",
        "refuses an older writer",
        "creates, then updates",
      ],
    },
    {
      reason: "version 1 is read again before each write, so the fault is met while nothing is sent yet",
      tests: [
        "gives up on a vendor that never answers",
        "says that it does not know when the answer to a write is lost",
      ],
    },
  ],
});

// HashiCorp Vault or OpenBao: `bao server -dev -dev-root-token-id=root`, VAULT_ADDR and VAULT_TOKEN.
const server = process.env["VAULT_ADDR"];
describe.skipIf(server === undefined)("at VAULT_ADDR", () =>
  describeDestination("Vault", {
    open: async () => openServer(server ?? "", process.env["VAULT_TOKEN"] ?? ""),
    skip: [{ reason: "a server that is not ours cannot be told to fail", tests: NEEDS_FAULTS }],
  }),
);

const pathOf = (target: unknown) => (target as { path: string }).path;

async function openStandIn(mount: "kv" | "kv1"): Promise<DestinationFixture<VaultBlock, VaultTarget>> {
  const vendor = await startVault();
  const { role, secret } = VAULT_APPROLE;
  return {
    adapter: vault,
    block: {
      address: vendor.url,
      mount,
      auth: { approle: { roleId: "env:ROLE_ID", secretId: "env:SECRET_ID" } },
      privateNetwork: true,
    },
    credential: ({ ref }) => new Secret(ref === "env:ROLE_ID" ? role : secret),
    wrongCredential: ({ ref }) => new Secret(ref === "env:ROLE_ID" ? role : "wrong-secret-id"),
    secrets: [secret, "wrong-secret-id"],
    target: (n) => ({ path: `shop/preview-${n}/db` }),
    missingTarget: null,
    badTarget: { path: "shop/../sys" },
    badNames: ["", "LINE\nBREAK"],
    putForeign: async (target, name, value) => {
      const path = pathOf(target);
      vendor.state.write(path, { ...vendor.state.values(path, mount), [name]: value }, mount);
    },
    readBack: async (target, name) =>
      vendor.state.values(pathOf(target), mount)?.[name] as string | undefined,
    // Logins go on. A write that fails is looked up, and that look fails too.
    fault: async ({ during: _, ...fault }) => vendor.addFault({ ...fault, path: `^/v1/${mount}/` }),
    clearFaults: async () => vendor.clearFaults(),
    calls: async () => vendor.log.length,
    close: () => vendor.close(),
  };
}

async function openServer(
  address: string,
  token: string,
): Promise<DestinationFixture<VaultBlock, VaultTarget>> {
  const mount = process.env["VAULT_MOUNT"] ?? "secret";
  const prefix = `branchline-${randomUUID()}`;
  const data = (target: unknown) => `${address}/v1/${mount}/data/${pathOf(target)}`;
  const read = async (target: unknown): Promise<Record<string, string>> => {
    const answer = await fetch(data(target), { headers: { "x-vault-token": token } });
    return answer.ok ? ((await answer.json()) as Read).data.data : {};
  };
  return {
    adapter: vault,
    block: { address, mount, auth: { token: "env:VAULT_TOKEN" }, privateNetwork: true },
    credential: () => new Secret(token),
    wrongCredential: () => new Secret("hvs.wrong"),
    secrets: [token],
    target: (n) => ({ path: `${prefix}/${n}` }),
    missingTarget: null,
    badTarget: { path: "/" },
    badNames: [""],
    async putForeign(target, name, value) {
      const body = JSON.stringify({ data: { ...(await read(target)), [name]: value } });
      await fetch(data(target), { method: "POST", headers: { "x-vault-token": token }, body });
    },
    readBack: async (target, name) => (await read(target))[name],
    fault: () => Promise.reject(new Error("not here")),
    clearFaults: async () => undefined,
    calls: async () => 0,
    close: async () => undefined,
  };
}

interface Read {
  readonly data: { readonly data: Record<string, string> };
}
