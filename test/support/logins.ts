/** A Postgres that lets in whoever has the password that a memory project has right now, over TLS. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MemoryProject } from "../../services/sources/memory.ts";
import { type StubPostgres, startStubPostgres } from "../unit/services/sources/stub-postgres.ts";

export interface Logins {
  /** For a source's block: where proofs connect. */
  readonly dial: { readonly host: string; readonly port: number; readonly ca: string };
  readonly server: StubPostgres;
  /** Host, role and whether the password was right, oldest first. */
  readonly tried: readonly { host: string; role: string; password: string; ok: boolean }[];
  close(): Promise<void>;
}

export async function startLogins(projects: readonly MemoryProject[]): Promise<Logins> {
  const tried: { host: string; role: string; password: string; ok: boolean }[] = [];
  const server = await startStubPostgres(async (login) => {
    const { host, role, password } = login;
    const direct = host.replace("-pooler.", ".");
    let ok = false;
    for (const project of projects) {
      const branches = await project.source.branches().catch(() => []);
      const branch = branches.find(({ endpoints }) => endpoints.some((endpoint) => endpoint.host === direct));
      ok ||= branch !== undefined && project.passwordOf(branch.id, role) === password;
    }
    tried.push({ ...login, ok });
    return ok;
  });
  const folder = await mkdtemp(join(tmpdir(), "branchline-logins-"));
  const ca = join(folder, "ca.pem");
  await writeFile(ca, server.ca);
  return {
    dial: { host: "127.0.0.1", port: server.port, ca },
    server,
    tried,
    close: async () => {
      await server.close();
      await rm(folder, { recursive: true });
    },
  };
}
