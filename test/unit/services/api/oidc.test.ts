import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { oidcTokens } from "../../../../services/api/oidc.ts";
import { auth, type TrustedIssuer } from "../../../../services/file/auth.ts";
import type { OutgoingRequest, OutgoingResponse } from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";

const ISSUER = "https://token.actions.githubusercontent.com";
const AUDIENCE = "https://branchline.test";
type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>;

let first: KeyPair;
let second: KeyPair;
let keys: JWK[];
beforeAll(async () => {
  first = await generateKeyPair("RS256");
  second = await generateKeyPair("RS256");
  keys = [await publicKey(first, "one")];
});

const publicKey = async (pair: KeyPair, kid: string): Promise<JWK> => ({
  ...(await exportJWK(pair.publicKey)),
  kid,
  alg: "RS256",
});

const PREVIEWS = {
  when: { repository: "acme/shop", ref: ["refs/heads/**", "refs/pull/**"] },
  scopes: ["read", "reveal"],
  sources: ["shop"],
  branches: ["preview/**"],
};

const trusted = (grants: readonly object[] = [PREVIEWS], over: object = {}): TrustedIssuer[] =>
  auth.parse({ oidc: [{ issuer: ISSUER, audience: AUDIENCE, grants, ...over }] }).oidc ?? [];

function provider(
  options: { trusted?: TrustedIssuer[]; published?: () => JWK[]; status?: () => number } = {},
) {
  const asked: OutgoingRequest[] = [];
  let time = 0;
  const answer = (url: string): unknown =>
    url.endsWith("/openid-configuration")
      ? { issuer: ISSUER, jwks_uri: `${ISSUER}/.well-known/jwks` }
      : { keys: options.published?.() ?? keys };
  const authenticate = oidcTokens({
    trusted: () => options.trusted ?? trusted(),
    now: () => time,
    io: () => ({
      fetch: async (request): Promise<OutgoingResponse> => {
        asked.push(request);
        const status = options.status?.() ?? 200;
        const body = JSON.stringify(answer(request.url));
        return { status, headers: {}, body, requestId: undefined, date: undefined };
      },
    }),
  });
  return {
    asked,
    let: (ms: number) => {
      time += ms;
    },
    who: async (token: string) => await authenticate(new Secret(token)),
  };
}

const CLAIMS = { sub: "repo:acme/shop:ref:refs/heads/x", repository: "acme/shop", ref: "refs/heads/x" };

async function signed(
  claims: Record<string, unknown> = CLAIMS,
  over: { key?: KeyPair; kid?: string; issuer?: string; audience?: string; expires?: string | number } = {},
): Promise<string> {
  const { key = first, kid = "one", issuer = ISSUER, audience = AUDIENCE, expires = "5m" } = over;
  return await new SignJWT(claims)
    .setProtectedHeader({ alg: "RS256", kid })
    .setIssuer(issuer)
    .setAudience(audience)
    .setExpirationTime(expires)
    .sign(key.privateKey);
}

describe("a token of a trusted provider", () => {
  test("is good for what its claims are granted, and no more", async () => {
    const principal = await provider().who(await signed());
    expect(principal).toMatchObject({
      name: "repo:acme/shop:ref:refs/heads/x (token.actions.githubusercontent.com)",
      limits: { sources: ["shop"], branches: ["preview/**"], destinations: null },
      revealDefault: false,
    });
    expect(principal?.scopes).toEqual(new Set(["read", "reveal"]));
  });

  test("the first grant whose claims all hold counts; without one it is nobody's", async () => {
    const both = trusted([
      { ...PREVIEWS, when: { repository: "acme/*", environment: "production" }, scopes: ["write"] },
      PREVIEWS,
    ]);
    const { who } = provider({ trusted: both });
    expect((await who(await signed({ ...CLAIMS, environment: "production" })))?.scopes).toEqual(
      new Set(["write"]),
    );
    expect((await who(await signed()))?.scopes).toEqual(new Set(["read", "reveal"]));
    expect(await who(await signed({ ...CLAIMS, repository: "evil/shop" }))).toBeNull();
    expect(await who(await signed({ sub: "x", repository: "acme/shop" }))).toBeNull();
    // What every object has is no claim.
    expect(
      await provider({ trusted: trusted([{ ...PREVIEWS, when: { sub: "*", constructor: "**" } }]) }).who(
        await signed(),
      ),
    ).toBeNull();
  });

  test.each([
    ["another's signature", {}, { key: "second" }],
    ["another audience", {}, { audience: "https://other.test" }],
    ["an issuer nobody trusts", {}, { issuer: "https://evil.test" }],
    ["an end that has passed", {}, { expires: 1 }],
  ])("%s is refused", async (_, claims, over) => {
    const key = "key" in over ? second : first;
    const { who } = provider();
    expect(await who(await signed({ ...CLAIMS, ...claims }, { ...over, key }))).toBeNull();
  });

  test("without an end, unsigned, or signed with the public key as a shared secret: refused", async () => {
    const endless = await new SignJWT(CLAIMS)
      .setProtectedHeader({ alg: "RS256", kid: "one" })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .sign(first.privateKey);
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { ...CLAIMS, iss: ISSUER, aud: AUDIENCE, exp: 4_000_000_000 };
    const unsigned = `${part({ alg: "none" })}.${part(claims)}.AA`;
    const shared = await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256", kid: "one" })
      .sign(new TextEncoder().encode(JSON.stringify(keys[0])));
    const { who } = provider();
    for (const token of [endless, unsigned, shared, "a.b.c", "blt_x", ""])
      expect(await who(token)).toBeNull();
  });
});

describe("the provider's keys", () => {
  test("are asked for once in a while, together, and of nobody who is not trusted", async () => {
    const { who, asked, let: pass } = provider();
    const token = await signed();
    await Promise.all([who(token), who(token), who(token)]);
    await who(await signed(CLAIMS, { issuer: "https://evil.test" }));
    expect(asked.map(({ url }) => url)).toEqual([
      `${ISSUER}/.well-known/openid-configuration`,
      `${ISSUER}/.well-known/jwks`,
    ]);
    expect(asked.every(({ timeoutMs = 60_000 }) => timeoutMs <= 5_000)).toBe(true);
    pass(11 * 60_000);
    await who(token);
    expect(asked).toHaveLength(4);
  });

  test("a new key is found, and made-up ones do not make us ask again and again", async () => {
    const all = [...keys];
    const { who, asked, let: pass } = provider({ published: () => all });
    await who(await signed());
    all.push(await publicKey(second, "two"));
    pass(61_000);
    expect(await who(await signed(CLAIMS, { key: second, kid: "two" }))).not.toBeNull();
    const before = asked.length;
    for (let n = 0; n < 5; n += 1)
      expect(await who(await signed(CLAIMS, { key: second, kid: `x${n}` }))).toBeNull();
    expect(asked).toHaveLength(before);
  });

  test("while they cannot be had nobody is called wrong: it is not possible right now", async () => {
    const { who } = provider({ status: () => 503 });
    await expect(who(await signed())).rejects.toMatchObject({ code: "unavailable" });
  });

  test("may be named, and then nothing else is asked", async () => {
    const { who, asked } = provider({ trusted: trusted([PREVIEWS], { jwks: "https://keys.test/jwks" }) });
    await who(await signed());
    expect(asked.map(({ url }) => url)).toEqual(["https://keys.test/jwks"]);
  });
});

describe("auth in branchline.yaml", () => {
  test.each([
    ["no condition at all", { when: {}, scopes: ["read"] }],
    ["a condition that says not whose", { when: { ref: "refs/heads/main" }, scopes: ["read"] }],
    ["admin with limits", { when: { sub: "x" }, scopes: ["admin"], sources: ["shop"] }],
    ["a glob that is none", { when: { sub: "[x" }, scopes: ["read"] }],
    ["a scope that is none", { when: { sub: "x" }, scopes: ["root"] }],
  ])("refuses %s", (_, grant) => {
    expect(() => trusted([grant])).toThrow();
  });
});
