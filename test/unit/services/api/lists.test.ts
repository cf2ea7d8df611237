import { describe, expect, test } from "vitest";
import type { BindingFilter, BindingItem } from "../../../../services/api/bindings.ts";
import type { BranchFilter, BranchItem } from "../../../../services/api/branches.ts";
import type { EventFilter, EventItem } from "../../../../services/api/events.ts";
import { AUTHORIZED, harness, memoryReader, someBinding, someBranch, someEvent, uuid } from "./harness.ts";

interface Answer {
  readonly status: number;
  // The test reads into it as it likes.
  readonly json: { items: { id: string }[]; next: string | null; [member: string]: unknown };
}

async function get(app: ReturnType<typeof harness>["app"], path: string): Promise<Answer> {
  const answer = await app.request(path, { headers: AUTHORIZED });
  return { status: answer.status, json: JSON.parse(await answer.text()) };
}

describe.each([
  ["/v1/branches", "branch", someBranch(1), uuid(1), uuid(99)],
  ["/v1/bindings", "binding", someBinding(1), uuid(1), uuid(99)],
  ["/v1/events", "event", someEvent(1), "1", "99"],
])("%s", (path, noun, one, id, absent) => {
  test("lists them in their documented shape", async () => {
    const { status, json } = await get(harness().app, path);
    expect([status, json.next, json.items.length]).toEqual([200, null, 3]);
    expect(json.items.find((item) => item.id === id)).toEqual(one);
  });

  test("pages through all of them, each once", async () => {
    const { app } = harness();
    const seen: string[] = [];
    let query = "?limit=1";
    for (let page = 0; page < 3; page += 1) {
      const { json } = await get(app, path + query);
      seen.push(...json.items.map((item) => item.id));
      query = `?limit=1&cursor=${json.next}`;
      expect(json.next === null).toBe(page === 2);
    }
    expect(new Set(seen).size).toBe(3);
  });

  test("gives one by id", async () => {
    expect(await get(harness().app, `${path}/${id}`)).toEqual({ status: 200, json: one });
  });

  test.each([absent, "x", "..%2f..", "%00", "1e3", `${"9".repeat(40)}`])(
    "knows none with id %s",
    async (other) => {
      const { status, json } = await get(harness().app, `${path}/${other}`);
      expect([status, json["detail"]]).toEqual([404, `There is no ${noun} with this id.`]);
    },
  );

  test.each(["0", "-1", "201", "1.5", "1e2", "", "ten"])("refuses limit=%s", async (limit) => {
    const { status, json } = await get(harness().app, `${path}?limit=${limit}`);
    expect([status, json["parameters"]]).toMatchObject([400, [{ parameter: "limit" }]]);
  });

  test.each(["", "%20", "a.b", "x".repeat(513)])("refuses cursor=%s", async (cursor) => {
    const { status, json } = await get(harness().app, `${path}?cursor=${cursor}`);
    expect([status, json["parameters"]]).toMatchObject([400, [{ parameter: "cursor" }]]);
  });

  test("refuses a cursor that the store does not know", async () => {
    const { status } = await get(
      harness().app,
      `${path}?cursor=${Buffer.from("nonsense").toString("base64url")}`,
    );
    expect(status).toBe(400);
  });

  test("refuses a parameter it does not know, an empty one, and one given twice", async () => {
    const { app } = harness();
    for (const query of ["sorce=shop", "source=", "source=%00", "source=a&source=b", "limit=1&limit=2"]) {
      const { status, json } = await get(app, `${path}?${query}`);
      expect([query, status]).toEqual([query, 400]);
      expect(json).toMatchObject({ type: "urn:branchline:problem:invalid_request" });
      expect(json["parameters"]).toMatchObject([{ parameter: query.split("=")[0] }]);
    }
  });

  test("does not repeat a refused value", async () => {
    const { app } = harness();
    const answer = await app.request(`${path}?limit=canary&state=canary%00`, { headers: AUTHORIZED });
    expect(await answer.text()).not.toContain("canary");
  });
});

describe("filters", () => {
  test("branches by source, state and name", async () => {
    const branches = memoryReader<BranchItem, BranchFilter>([
      someBranch(1),
      someBranch(2, { source: "crm" }),
      someBranch(3, { state: "gone" }),
    ]);
    const { app } = harness({ branches });
    expect((await get(app, "/v1/branches?source=crm")).json.items.map(({ id }) => id)).toEqual([uuid(2)]);
    expect((await get(app, "/v1/branches?state=gone&source=shop")).json.items.map(({ id }) => id)).toEqual([
      uuid(3),
    ]);
    expect((await get(app, "/v1/branches?name=preview/1")).json.items.map(({ id }) => id)).toEqual([uuid(1)]);
    expect((await get(app, "/v1/branches?name=none")).json).toEqual({ items: [], next: null });
  });

  test("bindings by state, code, rule and destination; a state that does not exist is refused", async () => {
    const bindings = memoryReader<BindingItem, BindingFilter>([
      someBinding(1),
      someBinding(2, { state: "synced", code: null }),
    ]);
    const { app } = harness({ bindings });
    expect((await get(app, "/v1/bindings?state=synced")).json.items.map(({ id }) => id)).toEqual([uuid(2)]);
    expect(
      (await get(app, "/v1/bindings?code=forbidden&rule=web-preview&destination=web")).json.items,
    ).toHaveLength(1);
    expect((await get(app, "/v1/bindings?state=fine")).status).toBe(400);
  });

  test("events by origin and state", async () => {
    const events = memoryReader<EventItem, EventFilter>([someEvent(2), someEvent(1, { origin: "neon" })]);
    const { app } = harness({ events });
    expect((await get(app, "/v1/events?origin=neon")).json.items.map(({ id }) => id)).toEqual(["1"]);
    expect((await get(app, "/v1/events?state=done")).status).toBe(400);
  });

  test("are kept from page to page by whoever asks, and the cursor is opaque", async () => {
    const items = [1, 2, 3, 4].map((n) => someEvent(n, { origin: n % 2 === 0 ? "neon" : "github" }));
    const { app } = harness({ events: memoryReader<EventItem, EventFilter>(items) });
    const first = await get(app, "/v1/events?origin=neon&limit=1");
    const second = await get(app, `/v1/events?origin=neon&limit=1&cursor=${first.json.next}`);
    expect([...first.json.items, ...second.json.items].map(({ id }) => id)).toEqual(["2", "4"]);
    expect(second.json.next).toBeNull();
  });
});

test("what a reader gives too much of does not get out", async () => {
  const careless = {
    ...someBinding(1),
    password: "canary",
    branch: { id: uuid(1), name: "b", connectionUri: "canary" },
  };
  const { app } = harness({ bindings: memoryReader<BindingItem, BindingFilter>([careless]) });
  const answers = [await get(app, "/v1/bindings"), await get(app, `/v1/bindings/${uuid(1)}`)];
  expect(JSON.stringify(answers)).not.toContain("canary");
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
});

test("what a reader gives wrongly is a fault of ours, without detail", async () => {
  const wrong = { ...someEvent(1), receivedAt: "canary" };
  const { app, logged } = harness({ events: memoryReader<EventItem, EventFilter>([wrong]) });
  const { status, json } = await get(app, "/v1/events");
  expect(status).toBe(500);
  expect(JSON.stringify(json) + logged()).not.toContain("canary");
});
