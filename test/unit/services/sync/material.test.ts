import { describe, expect, test } from "vitest";
import { SyncError } from "../../../../services/sync/errors.ts";
import { createFingerprinter } from "../../../../services/sync/fingerprint.ts";
import {
  loginFingerprint,
  loginsWanted,
  material,
  passwordFingerprint,
  primaryEndpoint,
} from "../../../../services/sync/material.ts";
import type { BranchReading, SourceEndpoint } from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";

const endpoint = (id: string, rest: Partial<SourceEndpoint> = {}): SourceEndpoint => ({
  id,
  host: `${id}.neon.tech`,
  type: "read_write",
  disabled: false,
  active: true,
  ...rest,
});

function reading(
  rest: Partial<BranchReading> & { endpoints?: readonly SourceEndpoint[] } = {},
): BranchReading {
  const { endpoints = [endpoint("ep-1")], ...more } = rest;
  return {
    branch: {
      id: "br-1",
      name: "preview/x",
      parentId: null,
      default: false,
      protected: false,
      expiresAt: null,
      createdAt: new Date(0),
      state: "ready",
      annotations: {},
      endpoints,
    },
    roles: [
      { name: "app", login: true },
      { name: "group", login: false },
    ],
    databases: [{ name: "shop", owner: "app" }],
    passwords: new Map([["app", new Secret("pw")]]),
    ...more,
  };
}

const wanted = { alias: "default", role: "app", database: "shop" };
const fingerprint = createFingerprinter(new Uint8Array(32).fill(1));

describe("material()", () => {
  test("is the login over the read-write compute, whatever the order of the list", () => {
    const replica = endpoint("ep-ro", { type: "read_only" });
    const made = material(reading({ endpoints: [replica, endpoint("ep-1")] }), wanted);
    expect(made).toMatchObject({ role: "app", database: "shop", port: 5432, endpoint: { id: "ep-1" } });
    expect(primaryEndpoint({ endpoints: [replica] })).toBeNull();
  });

  test.each([
    ["no compute", reading({ endpoints: [] }), wanted, "no read-write compute"],
    [
      "only a replica",
      reading({ endpoints: [endpoint("r", { type: "read_only" })] }),
      wanted,
      "no read-write compute",
    ],
    [
      "a disabled compute",
      reading({ endpoints: [endpoint("e", { disabled: true })] }),
      wanted,
      "is disabled",
    ],
    ["no such role", reading(), { ...wanted, role: "nobody" }, 'no role "nobody"'],
    ["a role without login", reading(), { ...wanted, role: "group" }, "cannot log in"],
    ["a role without a password", reading({ passwords: new Map() }), wanted, "cannot log in"],
    ["no such database", reading(), { ...wanted, database: "other" }, 'no database "other"'],
  ])("says what the branch lacks: %s", (_, from, login, words) => {
    expect(() => material(from, login)).toThrow(SyncError);
    expect(() => material(from, login)).toThrow(words);
  });
});

describe("fingerprints of logins", () => {
  const login = material(reading(), wanted);

  test("move with password, host, role and database", () => {
    const others = [
      { ...login, password: new Secret("other") },
      { ...login, endpoint: { ...login.endpoint, host: "elsewhere" } },
      { ...login, role: "other" },
      { ...login, database: "other" },
      { ...login, port: 1 },
    ];
    const all = [login, ...others].map((one) => loginFingerprint(fingerprint, one));
    expect(new Set(all).size).toBe(all.length);
    expect(loginFingerprint(fingerprint, { ...login })).toBe(all[0]);
  });

  test("of a password are the same on every branch", () => {
    const elsewhere = { ...login, endpoint: { id: "ep-2", host: "elsewhere" } };
    expect(passwordFingerprint(fingerprint, elsewhere)).toBe(passwordFingerprint(fingerprint, login));
    expect(passwordFingerprint(fingerprint, { ...login, role: "other" })).not.toBe(
      passwordFingerprint(fingerprint, login),
    );
  });
});

test("a rule wants one login per alias", () => {
  expect(loginsWanted({ roles: { app: "shop_app", migrate: "shop_owner" }, database: "shop" })).toEqual([
    { alias: "app", role: "shop_app", database: "shop" },
    { alias: "migrate", role: "shop_owner", database: "shop" },
  ]);
});
