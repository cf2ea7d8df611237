/** Answers of GitHub that the stand-in does not give. */
import { expect, test } from "vitest";
import { github } from "../../../../services/destinations/github.ts";
import type { Io, OutgoingRequest } from "../../../../services/sync/ports.ts";
import { Secret } from "../../../../services/sync/secret.ts";
import { codes, MARK, puts } from "./hand.ts";

const NAME = "DATABASE_URL";
const KEY = Buffer.alloc(32, 9).toString("base64");

/** Writes an organization's secret of which GitHub says that `total` repositories see it, and shows `shown`. */
async function writeSelected(total: number, shown: readonly number[]) {
  const requests: OutgoingRequest[] = [];
  const answerOf = ({ method, url }: OutgoingRequest): [status: number, body: unknown] => {
    const { pathname, searchParams } = new URL(url);
    if (method === "PUT") return [204, ""];
    if (pathname.endsWith("/public-key")) return [200, { key_id: "1", key: KEY }];
    if (pathname.endsWith("/repositories")) {
      const ids = searchParams.has("page") ? [] : shown;
      return [200, { total_count: total, repositories: ids.map((id) => ({ id })) }];
    }
    const times = { created_at: "2026-01-01T00:00:00Z", updated_at: "2026-01-01T00:00:00Z" };
    return [200, { total_count: 1, secrets: [{ name: NAME, ...times, visibility: "selected" }] }];
  };
  const io: Io = {
    signal: new AbortController().signal,
    fingerprint: () => "f",
    fetch: async (request) => {
      requests.push(request);
      const [status, body] = answerOf(request);
      const date = new Date("2026-01-01T00:00:01Z");
      return { status, headers: {}, body: body === "" ? "" : JSON.stringify(body), requestId: "req", date };
    },
  };
  const block = github.block.parse({ organization: "acme", token: "env:TOKEN" });
  const destination = github.open(block, () => new Secret("token"), io);
  const target = github.parseTarget(block, {});
  const [seen] = await destination.observe([target], { contents: false });
  if (seen === undefined) throw new Error("nothing was observed");
  const claim = { intent: "i", token: "t", mark: MARK, observation: seen };
  const results = await destination.apply(target, puts({ [NAME]: "value" }, seen), claim);
  const sent = requests.filter(({ method }) => method === "PUT").map(({ body }) => JSON.parse(String(body)));
  return { results, sent };
}

test("an organization's secret keeps all the repositories that see it", async () => {
  const { results, sent } = await writeSelected(2, [1, 2]);
  expect(codes(results)).toEqual({ [NAME]: null });
  expect(sent).toMatchObject([{ visibility: "selected", selected_repository_ids: [1, 2] }]);
});

test("and is not written while GitHub shows only some of them", async () => {
  const { results, sent } = await writeSelected(3, [1]);
  expect(codes(results)).toEqual({ [NAME]: "unavailable" });
  expect(sent).toEqual([]);
});
