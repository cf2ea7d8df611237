import { SyncError } from "./errors.ts";
import type { Fingerprinter } from "./fingerprint.ts";
import type { LoginMaterial, LoginWanted, Replica, Rule } from "./model.ts";
import type { BranchReading, Fingerprint, LoginReading, SourceBranch, SourceEndpoint } from "./ports.ts";

/** Neon listens there for pooled and direct alike. */
const PORT = 5432;

/** The logins that a rule asks of each branch, one per alias. */
export function loginsWanted(rule: Pick<Rule, "roles" | "database">): LoginWanted[] {
  return Object.entries(rule.roles).map(([alias, role]) => ({ alias, role, database: rule.database }));
}

/** The endpoint that consumers' strings name. A read replica is never picked, whatever the order of the list. */
export function primaryEndpoint(branch: Pick<SourceBranch, "endpoints">): SourceEndpoint | null {
  return branch.endpoints.find((endpoint) => endpoint.type === "read_write") ?? null;
}

/**
 * What one login is made of. Throws `source_unready` naming what the branch lacks: a compute, the
 * database, the role, or the role's right to log in.
 */
export function material(reading: BranchReading, wanted: LoginWanted): LoginMaterial {
  const { branch, roles, databases, passwords } = reading;
  requireEndpoint(branch);
  const role = roles.find((candidate) => candidate.name === wanted.role);
  if (role === undefined) {
    throw unready(
      `branch "${branch.name}" has no role "${wanted.role}"`,
      "Create the role on the branch, or correct the rule.",
    );
  }
  if (!role.login || !passwords.has(wanted.role)) {
    throw unready(
      `role "${wanted.role}" on branch "${branch.name}" cannot log in with a password`,
      "Name a role with a password in the rule.",
    );
  }
  if (!databases.some((database) => database.name === wanted.database)) {
    throw unready(
      `branch "${branch.name}" has no database "${wanted.database}"`,
      "Create the database on the branch, or correct the rule.",
    );
  }
  return made(reading, wanted) ?? impossible();
}

/**
 * The same of a branch whose roles and databases were looked at before: null if the role has no password any more. Throws
 * `source_unready` if the compute is missing or disabled, and as `material()` if all of the branch was read all the same.
 */
export function remade(reading: LoginReading, wanted: LoginWanted): LoginMaterial | null {
  return isWhole(reading) ? material(reading, wanted) : made(reading, wanted);
}

const isWhole = (reading: LoginReading): reading is BranchReading => "roles" in reading;

function made({ branch, passwords }: LoginReading, wanted: LoginWanted): LoginMaterial | null {
  const { id, host } = requireEndpoint(branch);
  const password = passwords.get(wanted.role);
  if (password === undefined) return null;
  const { role, database } = wanted;
  return { role, database, password, endpoint: { id, host }, port: PORT, replicas: replicasOf(branch) };
}

function requireEndpoint(branch: SourceBranch): SourceEndpoint {
  const endpoint = primaryEndpoint(branch);
  if (endpoint === null) {
    throw unready(`branch "${branch.name}" has no read-write compute`, "Add a compute to the branch.");
  }
  if (endpoint.disabled) {
    throw unready(`the compute of branch "${branch.name}" is disabled`, "Enable the compute.");
  }
  return endpoint;
}

function impossible(): never {
  throw new SyncError("internal", "a password that was there is not there");
}

/** The read-only computes that can be used now. */
export function replicasOf({ endpoints }: Pick<SourceBranch, "endpoints">): Replica[] {
  return endpoints.flatMap(({ id, name = null, host, type, disabled }) =>
    type === "read_only" && !disabled ? [{ id, name, host }] : [],
  );
}

/** Moves when a consumer would have to be told: password, host, port. */
export function loginFingerprint(fingerprint: Fingerprinter, login: LoginMaterial): Fingerprint {
  const { role, database, password, endpoint, port } = login;
  return fingerprint("login", password, endpoint.host, String(port), role, database);
}

/** Equal for the same role and password, on whichever branch. */
export const passwordFingerprint = (
  fingerprint: Fingerprinter,
  login: Pick<LoginMaterial, "role" | "password">,
): Fingerprint => fingerprint("password", login.role, login.password);

const unready = (message: string, next: string): SyncError =>
  new SyncError("source_unready", message, { vendor: "neon", next });
