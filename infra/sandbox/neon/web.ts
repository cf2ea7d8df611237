/** How the Neon stand-in reads requests: as strictly as an OpenAPI validator in front of the service. */
import type { Context } from "hono";
import type { z } from "zod";
import type { VendorEnv } from "../vendor.ts";
import { NeonError, plainError } from "./errors.ts";
import type { NeonBranch, NeonEndpoint, NeonKey, NeonProject } from "./model.ts";
import type { NeonState } from "./state.ts";

export interface NeonEnv extends VendorEnv {
  Variables: { key: NeonKey };
}
export type NeonContext = Context<NeonEnv>;

const ID = /^[a-z0-9-]{1,60}$/;

/** The project in the path, if this key reaches it; 404 does not tell the two apart. */
export function projectOf(state: NeonState, c: NeonContext): NeonProject {
  const id = pathId(c, "project_id");
  const { projects } = c.get("key");
  const project = projects === null || projects.includes(id) ? state.projects.get(id) : undefined;
  if (project === undefined) throw new NeonError(404, "project not found");
  return project;
}

/** The branch in the path; `undefined` if it is not there (DELETE answers 204 then). */
export function branchIfThere(state: NeonState, c: NeonContext): NeonBranch | undefined {
  return projectOf(state, c).branches.get(pathId(c, "branch_id"));
}

export function branchOf(state: NeonState, c: NeonContext): NeonBranch {
  const branch = branchIfThere(state, c);
  if (branch === undefined) throw new NeonError(404, "branch not found");
  return branch;
}

export function endpointIfThere(state: NeonState, c: NeonContext): NeonEndpoint | undefined {
  return projectOf(state, c).endpoints.get(pathId(c, "endpoint_id"));
}

export function endpointOf(state: NeonState, c: NeonContext): NeonEndpoint {
  const endpoint = endpointIfThere(state, c);
  if (endpoint === undefined) throw new NeonError(404, "endpoint not found");
  return endpoint;
}

/** Neon schedules nothing new on a project while its operations run. */
export function refuseWhileBusy(state: NeonState, project: NeonProject): void {
  if (state.conflicts && state.operations.busy(project.id)) throw plainError(423);
}

export function pathId(c: NeonContext, name: string): string {
  const value = c.req.param(name) ?? "";
  if (!ID.test(value)) {
    throw new NeonError(400, `parameter "${name}" in path has an error: string doesn't match the pattern`);
  }
  return value;
}

/** A JSON body that fits the schema; `optional`: no body at all is an empty object. */
export async function bodyOf<T>(c: NeonContext, schema: z.ZodType<T>, optional = false): Promise<T> {
  const text = await c.req.text();
  if (text === "" && !optional)
    throw new NeonError(400, "request body has an error: value is required but missing");
  if (text !== "" && !/^application\/json\b/i.test(c.req.header("content-type") ?? "")) {
    throw new NeonError(400, "request body has an error: header Content-Type has unexpected value");
  }
  const parsed = schema.safeParse(text === "" ? {} : parseJson(text));
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.map((issue) => `/${issue.path.join("/")}`).join(", ");
  throw new NeonError(400, `request body has an error: doesn't match schema: ${where}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new NeonError(400, "request body has an error: failed to decode request body");
  }
}

/** An integer in the query within its bounds, or the default. */
export function intQuery(c: NeonContext, name: string, max: number, otherwise: number): number {
  const text = c.req.query(name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > max) throw badQuery(name);
  return value;
}

export function choiceQuery<T extends string>(
  c: NeonContext,
  name: string,
  choices: readonly T[],
  otherwise: T,
): T {
  const text = c.req.query(name);
  if (text === undefined) return otherwise;
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw badQuery(name);
  return found;
}

export function booleanQuery(c: NeonContext, name: string): boolean {
  return choiceQuery(c, name, ["true", "false"], "false") === "true";
}

export const badQuery = (name: string): NeonError =>
  new NeonError(400, `parameter "${name}" in query has an error: invalid value`);

export function requiredQuery(c: NeonContext, name: string): string {
  const value = c.req.query(name);
  if (value === undefined || value === "") {
    throw new NeonError(400, `parameter "${name}" in query has an error: value is required but missing`);
  }
  return value;
}
