/**
 * Neon's API v2 over its own client library, reduced to the calls that Branchline makes.
 *
 * The library runs on axios, whose errors print the request's headers, the key among them. So the
 * key never gets there: our adapter adds it to the outgoing request, right before `Io.fetch`.
 */
import { createApiClient } from "@neondatabase/api-client";
import type { z } from "zod";
import { errorFromStatus } from "../http.ts";
import { asSyncError, type Code, SyncError, type Where } from "../sync/errors.ts";
import type { Io, OutgoingResponse } from "../sync/ports.ts";
import type { Secret } from "../sync/secret.ts";
import {
  branchAnswer,
  branchPage,
  countAnswer,
  databasesAnswer,
  endpointsAnswer,
  operationAnswer,
  operationPage,
  type Pagination,
  passwordAnswer,
  projectAnswer,
  projectPage,
  rolesAnswer,
} from "./neon-shapes.ts";

export type NeonClient = ReturnType<typeof createNeonClient>;

/** At most 10,000 by the vendor; smaller pages stay well inside the deadline of one request. */
const BRANCHES_PER_PAGE = 1000;
const OPERATIONS_PER_PAGE = 100;

/**
 * The calls for one project. Each answers the decoded body or throws a SyncError; a 404 is
 * `target_missing` with `where.status` 404, since only the caller knows what its absence means.
 */
export function createNeonClient(options: { api: string; project: string; apiKey: Secret; io: Io }) {
  const { api, project, apiKey, io } = options;
  const neon = createApiClient({
    apiKey: null,
    baseURL: api,
    // Bodies are parsed and statuses judged by us alone: axios would attach both to its errors.
    transformResponse: (data: unknown) => data,
    validateStatus: () => true,
    adapter: async (config) => {
      const operation = `GET ${withoutIds(config.url ?? "")}`;
      const response = await io.fetch({
        vendor: "neon",
        operation,
        method: "GET",
        url: neon.instance.getUri(config),
        headers: { accept: "application/json", authorization: `Bearer ${apiKey.reveal()}` },
      });
      const data = parseBody(response, operation, project);
      return { data, status: response.status, statusText: "", headers: {}, config };
    },
  });

  return {
    project: () => call(projectAnswer, () => neon.getProject(project)),
    /** Only the list of projects tells their integrations; a personal key has to say whose list. */
    listed: (orgId: string | null) =>
      call(projectPage, () =>
        neon.listProjects({ search: project, limit: 400, ...(orgId === null ? {} : { org_id: orgId }) }),
      ),
    operations: (cursor?: string) =>
      call(operationPage, () =>
        neon.listProjectOperations({
          projectId: project,
          limit: OPERATIONS_PER_PAGE,
          ...(cursor === undefined ? {} : { cursor }),
        }),
      ),
    operation: (id: string) => call(operationAnswer, () => neon.getProjectOperation(project, id)),
    /** Oldest first, so that a branch made while we page lands at the end instead of shifting the pages. */
    branches: (cursor?: string) =>
      call(branchPage, () =>
        neon.listProjectBranches({
          projectId: project,
          limit: BRANCHES_PER_PAGE,
          sort_by: "created_at",
          sort_order: "asc",
          ...(cursor === undefined ? {} : { cursor }),
        }),
      ),
    branchCount: () => call(countAnswer, () => neon.countProjectBranches({ projectId: project })),
    endpoints: () => call(endpointsAnswer, () => neon.listProjectEndpoints(project)),
    branch: (id: string) => call(branchAnswer, () => neon.getProjectBranch(project, id)),
    branchEndpoints: (id: string) =>
      call(endpointsAnswer, () => neon.listProjectBranchEndpoints(project, id)),
    roles: (id: string) => call(rolesAnswer, () => neon.listProjectBranchRoles(project, id)),
    databases: (id: string) => call(databasesAnswer, () => neon.listProjectBranchDatabases(project, id)),
    password: (id: string, role: string) =>
      call(passwordAnswer, () => neon.getProjectBranchRolePassword(project, id, role)),
  };
}

/** Null for what Neon says does not exist; the caller knows whether to believe that. */
export async function orAbsent<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof SyncError && error.where.status === 404) return null;
    throw error;
  }
}

/** Where the next page starts, in either of Neon's dialects; undefined after the last one. */
export function nextPage(pagination: Pagination): string | undefined {
  return pagination?.next || pagination?.cursor || undefined;
}

/** Asks and decodes. Whatever the library throws beside our own errors is replaced: it may hold bodies. */
async function call<T extends z.ZodType>(shape: T, ask: () => Promise<Answered>): Promise<z.output<T>> {
  let answered: Answered;
  try {
    answered = await ask();
  } catch (thrown) {
    throw asSyncError(thrown);
  }
  const { body, where } = answered.data as Body;
  const decoded = shape.safeParse(body);
  if (decoded.success) return decoded.data;
  const [issue] = decoded.error.issues;
  const field = issue?.path.join(".") || "the body";
  throw new SyncError("internal", `Neon's answer is not usable: ${field} has an unexpected shape`, {
    ...where,
    next: "Check that `api` is the address of Neon's API v2; if it is, report this as a bug.",
  });
}

/** What the library hands through untyped from our adapter. */
interface Answered {
  readonly data: unknown;
}
interface Body {
  readonly body: unknown;
  readonly where: Where;
}

function parseBody(response: OutgoingResponse, operation: string, project: string): Body {
  const where: Where = {
    vendor: "neon",
    operation,
    status: response.status,
    ...(response.requestId === undefined ? {} : { requestId: response.requestId }),
  };
  if (response.status < 200 || response.status > 299) throw refusal(response, where, project);
  try {
    return { body: JSON.parse(response.body) as unknown, where };
  } catch {
    // No cause: a JSON error quotes the text around the fault, which may be a password.
    throw new SyncError("unavailable", "Neon's answer broke off or is not JSON", where);
  }
}

/** `code` in Neon's error bodies is empty by default, so the status decides; the text is not ours to repeat. */
function refusal(response: OutgoingResponse, where: Where, project: string): SyncError {
  const general = errorFromStatus(response, { vendor: "neon", operation: where.operation ?? "" });
  const own = REFUSALS[response.status];
  if (own === undefined || general.code === "rate_limited") return general;
  const next = own.next ?? general.next;
  return new SyncError(own.code, own.message(project), {
    ...where,
    ...(next === undefined ? {} : { next }),
    ...(general.retryAfterMs === undefined ? {} : { retryAfterMs: general.retryAfterMs }),
  });
}

/** Where Neon's meaning of a status is narrower than the general one, or its cure can be named. */
const REFUSALS: Readonly<
  Record<
    number,
    { readonly code: Code; readonly message: (project: string) => string; readonly next?: string }
  >
> = {
  401: {
    code: "unauthenticated",
    message: () => "Neon does not accept the API key",
    next: "Put a key that works where `apiKey` points; keys end when they are revoked or their owner leaves.",
  },
  403: {
    code: "forbidden",
    message: (project) => `the API key may not read the project ${project}`,
    next: "Use a key of the project's organization, or one that is scoped to this project.",
  },
  404: {
    code: "target_missing",
    message: (project) => `Neon has no project ${project}, or hides it from this API key`,
    next: "Check `project`; a project-scoped key sees no other project.",
  },
  412: {
    code: "source_unready",
    message: (project) => `the project ${project} does not store passwords`,
    next: "This project does not store passwords: turn on password storage in its settings at Neon, then reset the role's password once.",
  },
  // Only quotas are known to answer 422, and only to requests that create something.
  422: { code: "internal", message: () => "Neon refused a request as not valid" },
  423: {
    code: "unavailable",
    message: (project) => `Neon is busy with a conflicting operation on the project ${project}`,
  },
};

/** `/projects/x/branches/y` to `/projects/{id}/branches/{id}`: operations are labels of errors and metrics. */
function withoutIds(path: string): string {
  return path.replace(/\/(projects|branches|roles|operations)\/(?!count$)[^/]+/g, "/$1/{id}");
}
