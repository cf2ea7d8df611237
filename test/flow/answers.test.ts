/** The commands that answer questions and stop things, as processes against a whole Branchline. */

import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listBindings } from "../../services/store/views.ts";
import { openShop, PREVIEW, type Shop } from "../support/shop.ts";
import { until } from "../support/until.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await openShop();
  // Its databases start one after the other; what is tested then waits for nothing that takes long.
  await shop.inStep();
}, 120_000);
afterAll(async () => {
  await shop.close();
}, 60_000);

const run = async (...args: string[]) => await shop.run(...args);
const json = async (...args: string[]) => await shop.json(...args);

async function states(): Promise<string[]> {
  const { db } = shop.world.service.runtime.database;
  return ((await listBindings(db, { limit: 50, after: null, filter: {} }))?.items ?? []).map(
    ({ state }) => state,
  );
}

describe("wait", () => {
  test("ends when a branch is in step, also one that nobody has seen yet", async () => {
    const { code, out } = await run("wait", `shop/${PREVIEW}`, "--timeout", "60s");
    expect([code, out]).toEqual([0, expect.stringMatching(/^preview\/login is in step: \w+, /)]);
  });

  test("says what is behind when the time is up, and what is not there", async () => {
    const { code, err } = await run("wait", "shop/preview/nobody", "--timeout", "1s");
    expect([code, err]).toEqual([
      66,
      expect.stringContaining("the branch preview/nobody of shop is not known"),
    ]);
    expect((await run("wait", `shop/${PREVIEW}`, "--destination", "nowhere")).code).toBe(3);
  });
});

describe("status, bindings, why and events", () => {
  test("in step: one line, and 0", async () => {
    await shop.inStep();
    const { code, out } = await run("status");
    expect([code, out]).toEqual([0, expect.stringMatching(/^(\d+) of \1 bindings are in step\.\n/)]);
    expect(await json("status")).toMatchObject({ behind: [], installation: { suspendedAt: null } });
  });

  test("bindings can be filtered", async () => {
    const { bindings } = await json("bindings", "--branch", PREVIEW, "--destination", "vault");
    expect(bindings).toEqual([expect.objectContaining({ destination: "vault", state: "synced" })]);
    expect((await run("bindings", "--state", "parked")).out).toBe("There are no such bindings.\n");
    expect((await run("bindings", "--state", "nonsense")).code).not.toBe(0);
  });

  test("why tells the story of one, with its pushes", async () => {
    const [{ rule }] = (await json("bindings", "--branch", PREVIEW, "--destination", "vault")).bindings;
    const { code, out } = await run("why", `${rule}/${PREVIEW}`);
    expect(code).toBe(0);
    expect(out).toMatch(/^\S+ for preview\/login at vault, /);
    expect(out).toMatch(/It has what it wants: \w+/);
    expect(out).toMatch(/The value there is Neon's of now: generation 1 of \w+/);
    expect(out).toMatch(/ago {2}synced, \d+ written, \d+ calls, \d+ ms/);
    const story = await json("why", `${rule}/${PREVIEW}`);
    expect(Object.keys(story)).toEqual(["binding", "held", "pushes"]);
    expect((await run("why", "nonsense/none")).code).toBe(66);
  });

  test("events say what became of each, and one can be looked at again", async () => {
    const { events } = await json("events", "--source", "shop");
    expect(events.length).toBeGreaterThan(0);
    const [{ id }] = events;
    expect(await json("events", "redeliver", id)).toMatchObject({ id });
    expect((await run("events", "--limit", "0")).err).toContain("A count is a whole number from 1");
  });
});

describe("suspend, resume and hold", () => {
  test("all of it: nothing is written until it is resumed, and status says so", async () => {
    expect((await run("suspend", "--all", "--reason", "we move house")).code).toBe(0);
    const { code, out } = await run("status");
    expect([code, out]).toEqual([
      3,
      expect.stringMatching(/Nothing is written anywhere for \d+[sm]: we move house\./),
    ]);
    shop.world.sandbox.neon.state.resetPassword(PREVIEW, "shop_app");
    await until(async () => (await states()).includes("suspended") || (await states()).includes("pending"));
    expect((await run("status")).out).toMatch(/suspended|pending/);
    expect((await run("resume", "--all")).out).toContain("It is written again everywhere");
    expect((await run("wait", `shop/${PREVIEW}`, "--timeout", "60s")).code).toBe(0);
  }, 90_000);

  test("one destination, or one binding", async () => {
    expect((await run("suspend", "--destination", "vault")).out).toContain(
      "Nothing is written at vault since",
    );
    expect((await run("resume", "--destination", "vault")).code).toBe(0);
    const [{ id }] = (await json("bindings", "--branch", PREVIEW, "--destination", "vault")).bindings;
    expect((await run("suspend", id)).out).toMatch(/is suspended\./);
    expect((await run("resume", id)).code).toBe(0);
  });

  test.each([[["suspend"]], [["resume", "x/y", "--all"]], [["suspend", "--all", "--destination", "vault"]]])(
    "%j does not say what it means",
    async (args) => {
      expect(await run(...args)).toMatchObject({
        code: 65,
        err: expect.stringMatching(/say what to (suspend|resume)/),
      });
    },
  );

  test("a branch for a while, with its reason, and released early", async () => {
    const held = await run("hold", `shop/${PREVIEW}`, "--for", "30m", "--reason", "migration under way");
    expect(held.out).toMatch(/Nothing of preview\/login is written until 20.*: migration under way/);
    expect((await json("branches")).branches).toContainEqual(
      expect.objectContaining({ name: PREVIEW, heldReason: "migration under way" }),
    );
    expect((await run("hold", `shop/${PREVIEW}`, "--release")).out).toContain("is not held");
    expect((await run("hold", `shop/${PREVIEW}`)).code).toBe(65);
    expect((await run("hold", `shop/${PREVIEW}`, "--for", "soon", "--reason", "x")).err).toContain("30m, 7d");
  });
});

describe("audit", () => {
  test("shows who did what, verifies, and goes out whole", async () => {
    const { audit } = await json("audit", "--limit", "200");
    expect(audit.length).toBeGreaterThan(4);
    const verified = await run("audit", "verify");
    expect([verified.code, verified.out]).toEqual([
      0,
      expect.stringMatching(/^\d+ rows, .* Head: \d+:[0-9a-f]{64}/),
    ]);
    const head = /Head: (\S+)/.exec(verified.out)?.[1] ?? "";
    expect((await run("audit", "verify", "--head", head)).code).toBe(0);
    const other = head.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
    expect((await run("audit", "verify", "--head", other)).code).toBe(65);
    const lines = (await run("audit", "export")).out.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).seq)).toEqual(lines.map((_, n) => n + 1));
  });
});

describe("completion", () => {
  test("bash completes commands, commands below them, and options", async () => {
    const { out } = await run("completion", "bash");
    const complete = (...words: string[]) =>
      execFileSync("bash", [
        "-c",
        `${out}\nCOMP_WORDS=(branchline ${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length}; _branchline; echo "\${COMPREPLY[*]}"`,
      ])
        .toString()
        .trim();
    expect(complete("stat")).toBe("status");
    expect(complete("audit", "ver")).toBe("verify");
    expect(complete("wait", "shop/x", "--time")).toBe("--timeout");
    expect(complete("suspend", "--al")).toBe("--all");
  });

  test("zsh and fish name every command", async () => {
    const help = (await run("--help")).out;
    const names = [...help.matchAll(/^ {2}(\w+)/gm)]
      .map(([, name]) => name)
      .filter((name) => name !== "help");
    expect(names).toContain("backup");
    for (const shell of ["zsh", "fish"]) {
      const { out } = await run("completion", shell);
      for (const name of names) expect(out, `${shell}: ${name}`).toMatch(new RegExp(`\\b${name}\\b`));
    }
  });
});
