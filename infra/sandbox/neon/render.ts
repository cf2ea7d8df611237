/** Rows as Neon's API shows them. Times have the precision of a second, passwords appear only where said. */
import type { NeonBranch, NeonDatabase, NeonEndpoint, NeonProject, NeonRole } from "./model.ts";
import type { NeonOperation, OperationStatus } from "./operations.ts";
import type { NeonStore } from "./store.ts";

/** `2022-11-30T20:09:48Z`. */
export const second = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** `2022-12-07T00:45:05.262011Z`: what an operations cursor looks like. */
export function microsecond(micros: number): string {
  const digits = String(micros % 1_000_000).padStart(6, "0");
  return `${new Date(Math.floor(micros / 1000)).toISOString().slice(0, 19)}.${digits}Z`;
}

const USAGE = {
  cpu_used_sec: 0,
  active_time_seconds: 0,
  compute_time_seconds: 0,
  written_data_bytes: 0,
  data_transfer_bytes: 0,
};

/** What a list says of a project: less, and `active_time` under an older name. */
export const projectListJson = (project: NeonProject): object => ({ ...essentials(project), active_time: 0 });

function essentials(project: NeonProject): object {
  return {
    id: project.id,
    platform_id: "aws",
    region_id: "aws-eu-central-1",
    name: project.name,
    provisioner: "k8s-neonvm",
    pg_version: 17,
    proxy_host: "c-2.eu-central-1.aws.neon.tech",
    branch_logical_size_limit: 0,
    branch_logical_size_limit_bytes: 0,
    store_passwords: project.storePasswords,
    cpu_used_sec: 0,
    creation_source: "console",
    created_at: second(project.createdAt),
    updated_at: second(project.createdAt),
    owner_id: project.orgId,
    org_id: project.orgId,
  };
}

export function projectJson(project: NeonProject): object {
  return {
    ...essentials(project),
    ...USAGE,
    data_storage_bytes_hour: 0,
    history_retention_seconds: 86_400,
    consumption_period_start: second(project.createdAt),
    consumption_period_end: second(project.createdAt + 30 * 86_400_000),
  };
}

export function branchJson(branch: NeonBranch): object {
  return {
    ...USAGE,
    id: branch.id,
    project_id: branch.projectId,
    ...(branch.parentId === null ? {} : { parent_id: branch.parentId, parent_lsn: "0/1DE2850" }),
    name: branch.name,
    current_state: branch.archived ? "archived" : "ready",
    state_changed_at: second(branch.createdAt),
    logical_size: 30_842_880,
    creation_source: "console",
    // Deprecated, and no longer the same as `default` once another branch was made the default.
    primary: branch.parentId === null,
    default: branch.default,
    protected: branch.protected,
    created_at: second(branch.createdAt),
    updated_at: second(branch.updatedAt),
    ...(branch.expiresAt === null ? {} : { expires_at: second(branch.expiresAt) }),
    ...(branch.ttlSeconds === null ? {} : { ttl_interval_seconds: branch.ttlSeconds }),
    ...(branch.lastResetAt === null ? {} : { last_reset_at: second(branch.lastResetAt) }),
    ...(branch.restoredAs === null ? {} : { restored_as: branch.restoredAs, restore_status: "restored" }),
    init_source: branch.initSource,
  };
}

/** Empty where nobody annotated the branch; lists leave those out. */
export function annotationJson({ id, annotation, createdAt }: NeonBranch): object {
  const at = second(annotation?.at ?? createdAt);
  const value = annotation?.value ?? {};
  return { object: { type: "console/branch", id }, value, created_at: at, updated_at: at };
}

export function endpointJson(endpoint: NeonEndpoint): object {
  return {
    host: endpoint.host,
    id: endpoint.id,
    ...(endpoint.name === null ? {} : { name: endpoint.name }),
    project_id: endpoint.projectId,
    branch_id: endpoint.branchId,
    autoscaling_limit_min_cu: 0.25,
    autoscaling_limit_max_cu: 2,
    region_id: "aws-eu-central-1",
    type: endpoint.type,
    current_state: endpoint.state,
    settings: {},
    pooler_enabled: false,
    pooler_mode: "transaction",
    disabled: endpoint.disabled,
    passwordless_access: true,
    creation_source: "console",
    created_at: second(endpoint.createdAt),
    updated_at: second(endpoint.updatedAt),
    // Deprecated; a trap for who builds hosts from it.
    proxy_host: endpoint.host.slice(endpoint.host.indexOf(".") + 1),
    suspend_timeout_seconds: 0,
    provisioner: "k8s-neonvm",
  };
}

/** Lists put read-only computes first: no order is promised, and `endpoints[0]` is the classic mistake. */
export function endpointsJson(endpoints: readonly NeonEndpoint[]): object[] {
  return [...endpoints].sort((a, b) => a.type.localeCompare(b.type)).map(endpointJson);
}

/** Lists and single reads never carry the password; create and reset do. */
export function roleJson(branch: NeonBranch, role: NeonRole, withPassword = false): object {
  return {
    branch_id: branch.id,
    name: role.name,
    ...(withPassword && role.password !== null ? { password: role.password } : {}),
    protected: false,
    authentication_method: role.noLogin ? "no_login" : "password",
    created_at: second(role.createdAt),
    updated_at: second(role.updatedAt),
  };
}

export function databaseJson(branch: NeonBranch, database: NeonDatabase): object {
  const at = second(database.createdAt);
  const { id, name, owner } = database;
  return { id, branch_id: branch.id, name, owner_name: owner, created_at: at, updated_at: at };
}

function operationJson(row: NeonOperation, status: OperationStatus): object {
  return {
    id: row.id,
    project_id: row.projectId,
    branch_id: row.branchId,
    ...(row.endpointId === null ? {} : { endpoint_id: row.endpointId }),
    action: row.action,
    status,
    ...(row.forced?.error ? { error: row.forced.error } : {}),
    failures_count: row.forced?.failuresCount ?? 0,
    created_at: second(row.createdMicros / 1000),
    updated_at: second(row.createdMicros / 1000),
    total_duration_ms: 0,
  };
}

export const operationNow = (store: NeonStore, row: NeonOperation): object =>
  operationJson(row, store.operations.status(row));

/** In the answer to a mutation nothing has finished yet: the first runs, the others wait. */
export const operationsBegun = (rows: readonly NeonOperation[]): object[] =>
  rows.map((row, index) => operationJson(row, index === 0 ? "running" : "scheduling"));
