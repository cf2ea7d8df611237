import { describe, expect, it } from "vitest";
import { z } from "zod";
import { neonBlock, neonSource } from "../../../../services/sources/neon.ts";
import type { Source } from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import {
  API,
  branchJson,
  endpointJson,
  type StubAnswer,
  type StubNeon,
  type StubRequest,
  stubNeon,
} from "./stub-neon.ts";

const block = neonBlock.parse({ project: "p", apiKey: "env:KEY", api: API });

function open(answer: (request: StubRequest) => StubAnswer | undefined): StubNeon & { source: Source } {
  const neon = stubNeon((request) => answer(request) ?? project(request) ?? missing);
  return { ...neon, source: neonSource.open(block, () => new Secret("napi_x"), neon.io) };
}
const missing: StubAnswer = { status: 404, body: { code: "", message: "not found" } };
const project = ({ path }: StubRequest): StubAnswer | undefined =>
  path === "/projects/p" ? { body: { project: { id: "p" } } } : undefined;

describe("neonBlock", () => {
  const good = { project: "wispy-butterfly-25042691", apiKey: "env:NEON_API_KEY" };
  const fields = (value: unknown) =>
    neonBlock.safeParse(value).error?.issues.map((issue) => issue.path.join("."));

  it("needs a project and a reference to the key, and knows Neon's address", () => {
    expect(neonBlock.parse(good)).toEqual({
      project: "wispy-butterfly-25042691",
      apiKey: { ref: "env:NEON_API_KEY" },
      api: "https://console.neon.tech/api/v2",
      privateNetwork: false,
    });
  });

  it("refuses what cannot be right, naming the field", () => {
    expect(fields({ ...good, project: "Shop" })).toEqual(["project"]);
    expect(fields({ ...good, project: "a/../b" })).toEqual(["project"]);
    expect(fields({ ...good, project: "" })).toEqual(["project"]);
    expect(fields({ ...good, apiKey: "napi_pasted" })).toEqual(["apiKey"]);
    expect(fields({ ...good, api: "console" })).toEqual(["api"]);
    expect(fields({ ...good, api: "ftp://neon.test" })).toEqual(["api"]);
    expect(fields({ ...good, api: "https://me:pw@neon.test" })).toEqual(["api"]);
    expect(fields({ ...good, api: "https://neon.test/?key=1" })).toEqual(["api"]);
    expect(fields({ ...good, api: "http://neon.test" })).toEqual(["api"]);
    expect(fields({ ...good, dial: { host: "10.0.0.1", port: 70_000 } })).toEqual(["dial.port"]);
    expect(fields({ ...good, region: "eu" })).toEqual([""]);
  });

  it("can be published as a JSON Schema", () => {
    const { properties, required } = z.toJSONSchema(neonBlock, { io: "input" });
    expect(Object.keys(properties ?? {})).toEqual([
      "project",
      "apiKey",
      "api",
      "privateNetwork",
      "caFile",
      "dial",
    ]);
    expect(required).toEqual(["project", "apiKey"]);
  });

  it("allows plain http where the network is said to be private", () => {
    expect(fields({ ...good, api: "http://127.0.0.1:4000/api/v2", privateNetwork: true })).toBeUndefined();
  });
});

describe("identity()", () => {
  it("is the host and the project, however the address is written", () => {
    const of = (api: string) => neonSource.identity(neonBlock.parse({ project: "p", apiKey: "env:K", api }));
    expect(of("https://Neon.Test/api/v2/")).toBe("neon.test/p");
    expect(of("https://neon.test:443/api/v2")).toBe("neon.test/p");
    expect(of("https://other.test/api/v2")).not.toBe(of("https://neon.test/api/v2"));
  });
});

describe("check()", () => {
  it("refuses a project that is not the one that was asked for", async () => {
    const { source } = open(() => ({ body: { project: { id: "q" } } }));
    await expect(source.check()).rejects.toMatchObject({ code: "wrong_account" });
  });
});

describe("branches()", () => {
  /** Pages of branch ids; each page but the last names the next one. */
  function paged(
    pages: string[][],
    options: { count?: number; dialect?: "next" | "cursor"; tail?: boolean } = {},
  ) {
    const { dialect = "next", tail = false } = options;
    const { count = new Set(pages.flat()).size } = options;
    return open(({ path, query }) => {
      if (path.endsWith("/count")) return { body: { count } };
      if (path.endsWith("/endpoints")) return { body: { endpoints: [endpointJson("ep-a", "br-a")] } };
      if (!path.endsWith("/branches")) return undefined;
      const page = Number(query.get("cursor") ?? 0);
      const more = page + 1 < pages.length || tail;
      const branches = (pages[page] ?? []).map((id) => branchJson(id));
      return { body: { branches, annotations: {}, pagination: more ? { [dialect]: String(page + 1) } : {} } };
    });
  }

  it("pages to the end in either dialect, and takes each branch once", async () => {
    for (const dialect of ["next", "cursor"] as const) {
      const { source, paths } = paged([["br-a", "br-b"], ["br-b", "br-c"], ["br-d"]], { dialect });
      expect((await source.branches()).map(({ id }) => id)).toEqual(["br-a", "br-b", "br-c", "br-d"]);
      expect(paths()).toEqual([
        "/projects/p/branches",
        "/projects/p/branches/count",
        "/projects/p/endpoints",
        "/projects/p/branches @1",
        "/projects/p/branches @2",
      ]);
    }
  });

  it("ends at an empty page although it names another", async () => {
    const { source } = paged([["br-a"], []], { tail: true });
    expect(await source.branches()).toHaveLength(1);
  });

  it("refuses a list that is shorter than Neon's count, after asking again", async () => {
    const { source, requests } = paged([["br-a"]], { count: 2 });
    await expect(source.branches()).rejects.toMatchObject({ code: "unavailable" });
    expect(requests.filter(({ path }) => path.endsWith("/branches"))).toHaveLength(2);
  });

  it("takes a list that is right the second time", async () => {
    let looks = 0;
    const { source } = open(({ path }) => {
      if (path.endsWith("/count")) return { body: { count: 2 } };
      if (path.endsWith("/endpoints")) return { body: { endpoints: [] } };
      if (!path.endsWith("/branches")) return undefined;
      return {
        body: { branches: ++looks === 1 ? [branchJson("br-a")] : [branchJson("br-a"), branchJson("br-b")] },
      };
    });
    expect(await source.branches()).toHaveLength(2);
  });

  it("throws when a later page fails or has another shape, rather than answer with a part", async () => {
    for (const second of [
      { status: 503, body: {} },
      { body: { branches: [{ id: "br-b" }] } },
      { body: {} },
    ]) {
      const { source } = open(({ path, query }) => {
        if (!path.endsWith("/branches")) return { body: { count: 1, endpoints: [] } };
        if (query.has("cursor")) return second;
        return { body: { branches: [branchJson("br-a")], pagination: { next: "1" } } };
      });
      await expect(source.branches()).rejects.toMatchObject({ code: /unavailable|internal/ });
    }
  });

  it("asks for the endpoints after the list, so that no branch in it lacks a compute that it has", async () => {
    const { source, paths } = paged([["br-a"]]);
    const [branch] = await source.branches();
    expect(branch?.endpoints).toMatchObject([{ id: "ep-a", active: true }]);
    expect(paths().indexOf("/projects/p/branches")).toBeLessThan(paths().indexOf("/projects/p/endpoints"));
  });

  it("leaves out what is deleted and could be recovered, and endpoints of unknown types", async () => {
    const { source } = open(({ path }) => {
      if (path.endsWith("/count")) return { body: { count: 1 } };
      if (path.endsWith("/endpoints")) {
        const type = "serverless_of_tomorrow";
        return {
          body: { endpoints: [endpointJson("ep-x", "br-a", { type }), endpointJson("ep-a", "br-a")] },
        };
      }
      const recovery = { deleted_at: "2026-11-20T10:00:00Z", deletion_method: "ttl" };
      return { body: { branches: [branchJson("br-a"), branchJson("br-gone", { recovery })] } };
    });
    expect(await source.branches()).toMatchObject([{ id: "br-a", endpoints: [{ id: "ep-a" }] }]);
  });
});

describe("branch()", () => {
  it("believes a 404 only while the project answers", async () => {
    expect(await open(() => undefined).source.branch("br-a")).toBeNull();

    const blind = open(() => missing);
    await expect(blind.source.branch("br-a")).rejects.toMatchObject({ code: "target_missing" });

    const down = open(({ path }) => (path === "/projects/p" ? { status: 503, body: {} } : undefined));
    await expect(down.source.branch("br-a")).rejects.toMatchObject({ code: "unavailable" });
  });

  it("does not take a redirect or a 410 for absence", async () => {
    for (const status of [302, 410]) {
      const { source } = open(({ path }) =>
        path.includes("/branches/br-a") ? { status, body: "" } : undefined,
      );
      await expect(source.branch("br-a")).rejects.toMatchObject({ where: { status } });
    }
  });

  it("does not take missing endpoints of a branch that exists for absence", async () => {
    const { source } = open(({ path }) =>
      path.endsWith("/branches/br-a")
        ? { body: { branch: branchJson("br-a"), annotation: null } }
        : undefined,
    );
    await expect(source.branch("br-a")).rejects.toMatchObject({ code: "unavailable" });
  });
});

describe("read()", () => {
  const contents =
    (roles: string[]) =>
    (request: StubRequest): StubAnswer | undefined => {
      const { path } = request;
      if (path.endsWith("/br-a"))
        return { body: { branch: branchJson("br-a"), annotation: { value: { k: "v" } } } };
      if (path.endsWith("/endpoints")) return { body: { endpoints: [endpointJson("ep-a", "br-a")] } };
      if (path.endsWith("/databases")) return { body: { databases: [{ name: "app", owner_name: "owner" }] } };
      if (path.endsWith("/roles")) {
        const methods: Record<string, string> = { readers: "no_login", sso: "oauth" };
        return { body: { roles: roles.map((name) => ({ name, authentication_method: methods[name] })) } };
      }
      const [, role] = /roles\/(\w+)\/reveal_password$/.exec(path) ?? [];
      return role === undefined || role === "dropped" ? undefined : { body: { password: `pw-of-${role}` } };
    };

  it("gives only what was asked for and can log in, and survives a role that was just dropped", async () => {
    const answer = contents(["owner", "app", "readers", "sso", "dropped"]);
    // What Neon says of a role that cannot log in is nobody's business.
    const { source, paths } = open((request) =>
      /\/(readers|sso)\/reveal_password$/.test(request.path) ? { status: 400, body: {} } : answer(request),
    );
    const reading = await source.read("br-a", ["app", "readers", "sso", "dropped", "never"]);
    expect([...(reading?.passwords ?? [])].map(([role, secret]) => [role, secret.reveal()])).toEqual([
      ["app", "pw-of-app"],
    ]);
    expect(reading?.branch.annotations).toEqual({ k: "v" });
    expect(paths().filter((path) => path.includes("/owner/"))).toEqual([]);
  });

  it("fails if a role that can log in does not get its password", async () => {
    const answer = contents(["app"]);
    const { source } = open((request) =>
      request.path.endsWith("reveal_password") ? { status: 503, body: {} } : answer(request),
    );
    await expect(source.read("br-a", ["app"])).rejects.toMatchObject({ code: "unavailable" });
  });

  it("rereads what it can of roles of which one can log in no more, and fails for any other reason", async () => {
    const answer = contents(["app", "was"]);
    const { source } = open((request) =>
      request.path.includes("/was/") ? { status: 400, body: {} } : answer(request),
    );
    expect([...((await source.reread("br-a", ["app", "was"]))?.passwords.keys() ?? [])]).toEqual(["app"]);
    const { source: unwell } = open((request) =>
      request.path.includes("/was/") ? { status: 503, body: {} } : answer(request),
    );
    await expect(unwell.reread("br-a", ["app", "was"])).rejects.toMatchObject({ code: "unavailable" });
  });

  it("asks for at most four passwords at once", async () => {
    const names = Array.from({ length: 20 }, (_, n) => `role_${n}`);
    let running = 0;
    let most = 0;
    const answer = contents(names);
    const neon = stubNeon(async (request) => {
      if (!request.path.endsWith("reveal_password")) return answer(request) ?? missing;
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      return answer(request) ?? missing;
    });
    const source = neonSource.open(block, () => new Secret("napi_x"), neon.io);
    expect((await source.read("br-a", names))?.passwords.size).toBe(20);
    expect(most).toBe(4);
  });
});
