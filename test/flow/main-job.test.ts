import { afterEach, describe, expect, test } from "vitest";
import { MemoryProject } from "../../services/sources/memory.ts";
import { ruleOf, startApp, type TestApp } from "../support/app.ts";
import { until } from "../support/until.ts";

let app: TestApp;
afterEach(async () => {
  await app.stop();
});

const PLACE = /^memory:.*\/x\/preview$/;

describe("a branch that appears, rotates and goes", () => {
  test("is followed at every destination", async () => {
    const project = new MemoryProject("p1");
    app = await startApp({
      projects: [project],
      destinations: {
        memory: {},
        atomic: { grain: "atomic" },
        blind: { values: "write-only", compareAndSet: false },
      },
      rules: ["memory", "atomic", "blind"].map((destination) => ruleOf({ name: destination, destination })),
    });
    const id = project.addBranch("preview/x");
    const synced = await app.settled("preview/x");
    expect(synced).toHaveLength(3);
    const password = project.passwordOf(id, "app_owner");
    const read = (destination: string) => {
      const key = synced.find((b) => b.destination === destination)?.target ?? "";
      expect(key).toMatch(PLACE);
      return app.store(destination).values(key);
    };
    for (const destination of ["memory", "atomic", "blind"]) {
      expect(read(destination)["DATABASE_URL"]).toContain(`:${password}@`);
      expect(read(destination)["DATABASE_URL"]).toContain("-pooler.");
      expect(read(destination)["DATABASE_URL_UNPOOLED"]).not.toContain("-pooler.");
    }

    project.rotate(id, "app_owner");
    const rotated = project.passwordOf(id, "app_owner");
    for (const destination of ["memory", "atomic", "blind"]) {
      await until(() => read(destination)["DATABASE_URL"]?.includes(`:${rotated}@`), { what: "rotation" });
    }

    project.removeBranch(id);
    await app.settled("preview/x", ["removed"]);
    for (const destination of ["memory", "atomic", "blind"]) expect(read(destination)).toEqual({});
  });
});
