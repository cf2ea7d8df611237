/** A credential that no header can carry is told of by every vendor's adapter, and is no connection that failed. */
import { expect, test } from "vitest";
import { awsSecretsManager } from "../../../../services/destinations/aws-secrets-manager.ts";
import { github } from "../../../../services/destinations/github.ts";
import { vault } from "../../../../services/destinations/vault.ts";
import { vercel } from "../../../../services/destinations/vercel.ts";
import { createIo } from "../../../../services/http.ts";
import { neonSource } from "../../../../services/sources/neon.ts";
import { SyncError } from "../../../../services/sync/errors.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { Hand } from "./hand.ts";

/** Nobody listens there. */
const NOWHERE = "http://127.0.0.1:1";
const BROKEN = "first-half\nother-half";
const reach = { api: NOWHERE, privateNetwork: true };

const check = (adapter: ConstructorParameters<typeof Hand>[0], block: object, target: object) => () =>
  new Hand(adapter, { privateNetwork: true, ...block }, { "env:T": BROKEN, "env:GOOD": "good" }).check(
    target,
  );

test.each<[string, () => Promise<void>]>([
  ["vercel", check(vercel, { project: "shop", token: "env:T", api: NOWHERE }, { environment: "preview" })],
  ["github", check(github, { repository: "acme/shop", token: "env:T", api: NOWHERE }, {})],
  ["vault", check(vault, { address: NOWHERE, mount: "kv", auth: { token: "env:T" } }, { path: "shop" })],
  [
    "aws",
    check(
      awsSecretsManager,
      {
        account: "123456789012",
        region: "eu-central-1",
        accessKey: { id: "env:T", secret: "env:GOOD" },
        endpoint: NOWHERE,
        stsEndpoint: NOWHERE,
      },
      { secretId: "shop" },
    ),
  ],
  [
    "neon",
    () => {
      const block = neonSource.block.parse({ project: "wispy-1", apiKey: "env:T", ...reach });
      const { signal } = new AbortController();
      const io = createIo({ fingerprint: () => "", signal, privateNetwork: true });
      return neonSource.open(block, () => new Secret(BROKEN), io).check();
    },
  ],
])("%s", async (vendor, run) => {
  const error = await run().then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SyncError);
  expect(error).toMatchObject({
    code: "unauthenticated",
    message: `the credential for ${vendor} holds a character that no HTTP header can carry`,
  });
  expect(JSON.stringify(error)).not.toContain("half");
});
