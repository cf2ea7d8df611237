/** The two shelves on which Vercel keeps variables: a project's own, and those that a team shares. */
import type { Mark, OutgoingResponse, Put } from "../sync/ports.ts";
import { formatMark } from "./mark.ts";
import type { VercelClient, VercelRemoval, VercelRow } from "./vercel-client.ts";
import { draftOf, type ResolvedTarget } from "./vercel-rows.ts";

/** One batch that was sent, before anybody looked at what became of it. */
export interface Sent {
  readonly operation: string;
  readonly response: OutgoingResponse;
}

export interface VercelShelf {
  /** Everything there; `hidden` counts production records that the token may not see. */
  list(): Promise<{ rows: readonly VercelRow[]; hidden: number }>;
  /** One record with its value. */
  read(id: string): Promise<VercelRow>;
  /** Creates, and refuses what exists. */
  create(target: ResolvedTarget, puts: readonly Put[], mark: Mark): Promise<Sent>;
  /** Records are changed by id instead of by name and target. */
  readonly updatesById: boolean;
  /** Writes over exactly these records. `ids` by name, for a shelf that updates by id. */
  update(
    target: ResolvedTarget,
    puts: readonly Put[],
    mark: Mark,
    ids: ReadonlyMap<string, string>,
  ): Promise<Sent>;
  remove(ids: readonly string[]): Promise<VercelRemoval>;
}

export function projectShelf(client: VercelClient): VercelShelf {
  const operation = "POST /v10/projects/{id}/env";
  const send = async (target: ResolvedTarget, puts: readonly Put[], mark: Mark, upsert: boolean) => {
    const drafts = puts.map((put) => draftOf(put, target, mark));
    return { operation, response: await client.postEnvs(drafts, upsert) };
  };
  return {
    updatesById: false,
    list: () => client.envs(),
    read: (id) => client.env(id),
    create: (target, puts, mark) => send(target, puts, mark, false),
    // An upsert meets only the record with exactly this target set; anything wider is refused as a conflict.
    update: (target, puts, mark) => send(target, puts, mark, true),
    remove: (ids) => inParts(ids, 1000, (part) => client.deleteEnvs(part)),
  };
}

/** Records of a team have no upsert: they are created by name and changed by id. */
export function sharedShelf(client: VercelClient, projectId: () => Promise<string>): VercelShelf {
  return {
    updatesById: true,
    list: async () => ({ rows: await client.sharedEnvs(), hidden: 0 }),
    read: (id) => client.sharedEnv(id),
    create: async (target, puts, mark) => {
      const comment = formatMark(mark, 500);
      const evs = puts.map(({ name, value }) => ({ key: name, value: value.reveal(), comment }));
      const body = { evs, type: target.type, target: [target.environment], projectId: [await projectId()] };
      return { operation: "POST /v1/env", response: await client.postSharedEnvs(body) };
    },
    update: async ({ type }, puts, _mark, ids) => {
      const updates = Object.fromEntries(
        puts.map(({ name, value }) => [ids.get(name) ?? name, { value: value.reveal(), type }]),
      );
      return { operation: "PATCH /v1/env", response: await client.patchSharedEnvs({ updates }) };
    },
    remove: (ids) => inParts(ids, 50, (part) => client.deleteSharedEnvs(part)),
  };
}

async function inParts(
  ids: readonly string[],
  size: number,
  run: (part: readonly string[]) => Promise<VercelRemoval>,
): Promise<VercelRemoval> {
  const all: VercelRemoval[] = [];
  for (let at = 0; at < ids.length; at += size) all.push(await run(ids.slice(at, at + size)));
  return {
    ids: all.flatMap((part) => part.ids),
    refusalOf: (name, id) =>
      all.map((part) => part.refusalOf(name, id)).find((error) => error !== null) ?? null,
  };
}
