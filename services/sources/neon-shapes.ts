/**
 * The parts of Neon's answers that Branchline reads, and nothing else: unknown fields, actions,
 * statuses and states pass, a field of the wrong shape is refused by name. Checked against the
 * OpenAPI document of `@neondatabase/api-client` 2.7.3.
 */
import { z } from "zod";
import { Secret } from "../sync/secret.ts";

const id = z.string().regex(/^[a-z0-9-]{1,60}$/);
const name = z.string().min(1);
const hostname = z.string().regex(/^(?=.{1,253}$)[a-z0-9-]+(\.[a-z0-9-]+)+$/i);
const time = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const annotation = z.object({ value: z.record(z.string(), z.string()) });

export const projectAnswer = z.object({ project: z.object({ id, org_id: z.string().nullish() }) });

const byProject = z.record(z.string(), z.array(z.string())).nullish();

/** What is installed, by project, under both of Neon's names for it; an open list. */
export const projectPage = z.object({ integrations: byProject, applications: byProject });

const branch = z.object({
  id,
  name,
  parent_id: id.nullish(),
  current_state: z.string(),
  default: z.boolean(),
  protected: z.boolean(),
  created_at: time,
  expires_at: time.nullish(),
  /** Only on branches that were deleted and can still be recovered. */
  recovery: z.object({}).nullish(),
});
export type NeonBranch = z.output<typeof branch>;

export const branchAnswer = z.object({ branch, annotation: annotation.nullish() });

/** The list pages by `pagination.next`, where projects and operations use `pagination.cursor`. */
const pagination = z.object({ next: z.string().nullish(), cursor: z.string().nullish() }).nullish();
export type Pagination = z.output<typeof pagination>;

export const branchPage = z.object({
  branches: z.array(branch),
  annotations: z.record(z.string(), annotation).nullish(),
  pagination,
});

export const countAnswer = z.object({ count: z.int().min(0) });

const endpoint = z.object({
  id,
  /** Given by somebody; most have none. */
  name: z.string().nullish(),
  branch_id: id,
  host: hostname,
  /** An open list: `read_write`, `read_only`, and whatever comes next. */
  type: z.string(),
  disabled: z.boolean(),
  /** `init`, `active`, `idle`. */
  current_state: z.string(),
});
export type NeonEndpoint = z.output<typeof endpoint>;

export const endpointsAnswer = z.object({ endpoints: z.array(endpoint) });

const role = z.object({
  name,
  /** `password`, `oauth`, `no_login`; absent from older answers, where it means `password`. */
  authentication_method: z.string().nullish(),
});
export type NeonRole = z.output<typeof role>;

export const rolesAnswer = z.object({ roles: z.array(role) });

export const databasesAnswer = z.object({ databases: z.array(z.object({ name, owner_name: name })) });

export const passwordAnswer = z.object({
  password: z
    .string()
    .min(1)
    .transform((password) => new Secret(password)),
});

const operation = z.object({
  id: z.string().min(1),
  branch_id: id.nullish(),
  /** About forty are documented and the list grows. */
  action: z.string(),
  /** `scheduling, running, finished, failed, error, cancelling, cancelled, skipped`. */
  status: z.string(),
  created_at: time,
  updated_at: time,
});
export type NeonOperation = z.output<typeof operation>;

export const operationAnswer = z.object({ operation });

export const operationPage = z.object({ operations: z.array(operation), pagination });
