/** A Neon of canned answers for unit tests: no sockets, every request kept. */
import type { Io, OutgoingRequest, OutgoingResponse } from "../../../../services/sync/ports.ts";

export interface StubRequest extends OutgoingRequest {
  /** Path below the base path. */
  readonly path: string;
  readonly query: URLSearchParams;
}

export type StubAnswer = {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body: unknown;
};

export interface StubNeon {
  readonly io: Io;
  readonly requests: StubRequest[];
  /** `GET /projects/p/branches?cursor=x`, shortened to path and cursor, in order. */
  paths(): string[];
}

export const API = "https://neon.test/api/v2";

/** `answer` may throw what a failing `Io.fetch` would; strings go out as they are, the rest as JSON. */
export function stubNeon(answer: (request: StubRequest) => StubAnswer | Promise<StubAnswer>): StubNeon {
  const requests: StubRequest[] = [];
  const fetch = async (request: OutgoingRequest): Promise<OutgoingResponse> => {
    const url = new URL(request.url);
    const path = url.pathname.replace("/api/v2", "");
    const seen: StubRequest = { ...request, path, query: url.searchParams };
    requests.push(seen);
    const { status = 200, headers = {}, body } = await answer(seen);
    return {
      status,
      headers,
      body: typeof body === "string" ? body : JSON.stringify(body),
      requestId: "req-1",
      date: undefined,
    };
  };
  return {
    io: { fetch, fingerprint: () => "", signal: new AbortController().signal },
    requests,
    paths: () =>
      requests.map(({ path, query }) => (query.has("cursor") ? `${path} @${query.get("cursor")}` : path)),
  };
}

export function branchJson(id: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id,
    project_id: "p",
    name: id,
    current_state: "ready",
    default: false,
    protected: false,
    created_at: "2026-11-20T10:00:00Z",
    updated_at: "2026-11-20T10:00:00Z",
    a_field_of_tomorrow: { any: ["thing"] },
    ...more,
  };
}

export function endpointJson(
  id: string,
  branch: string,
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    id,
    branch_id: branch,
    host: `${id}.c-2.eu-central-1.aws.neon.tech`,
    type: "read_write",
    disabled: false,
    current_state: "active",
    ...more,
  };
}
