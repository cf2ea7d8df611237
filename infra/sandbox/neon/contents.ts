/** Connection strings and what a branch inherits. */
import { type NeonBranch, type NeonEndpoint, type NeonRole, newPassword } from "./model.ts";

/** The direct or pooled URI; `-pooler` sits at the end of the first label. */
export function connectionUri(
  { id, host }: NeonEndpoint,
  role: NeonRole,
  database: string,
  pooled: boolean,
): string {
  const at = pooled ? host.replace(id, `${id}-pooler`) : host;
  const login = `${encodeURIComponent(role.name)}:${encodeURIComponent(role.password ?? "")}`;
  const query = "sslmode=require&channel_binding=require";
  return `postgresql://${login}@${at}/${encodeURIComponent(database)}?${query}`;
}

/** Gives `to` the roles and databases of `from`, with the same passwords or with new ones. */
export function copyContents(
  from: NeonBranch,
  to: NeonBranch,
  { newPasswords }: { newPasswords: boolean },
): void {
  to.roles.clear();
  to.databases.clear();
  for (const role of from.roles.values()) {
    const password = newPasswords && role.password !== null ? newPassword() : role.password;
    to.roles.set(role.name, { ...role, password, previous: null });
  }
  for (const database of from.databases.values()) to.databases.set(database.name, { ...database });
}
