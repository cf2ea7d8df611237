import { describe, expect, test } from "vitest";
import { credentialRef } from "../../../../services/sync/credential.ts";

describe("credentialRef", () => {
  test.each(["env:VERCEL_TOKEN", "env:_x1", "file:/run/secrets/github-app"])("takes %s", (ref) => {
    expect(credentialRef.parse(ref)).toEqual({ ref });
  });

  test.each([
    "vcp_pasted_token",
    "env:",
    "env:1X",
    "env:A B",
    "file:relative",
    "file:/etc/../proc/self/environ",
    "file:/proc/self/environ",
    "file://proc/self/environ",
    "file:/./proc/1/environ",
    "env:BRANCHLINE_MASTER_KEY",
    "env:DATABASE_URL",
    "env:REDIS_URL",
    42,
    undefined,
  ])("refuses %j", (ref) => {
    expect(credentialRef.safeParse(ref).success).toBe(false);
  });

  test("does not repeat what was pasted instead of a reference", () => {
    const parsed = credentialRef.safeParse("vcp_pasted_token");
    expect(JSON.stringify(parsed.error)).not.toContain("pasted");
    expect(parsed.error?.issues[0]?.message).toContain("env:NAME");
  });
});
