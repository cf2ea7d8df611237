/** Where to connect instead of what DNS says: the sandbox, private networks and tests. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { SyncError } from "../sync/errors.ts";

/** As the file says it; `ca` is a path. */
export const dialBlock = z
  .strictObject({
    host: z.string().min(1),
    port: z.int().min(1).max(65_535),
    ca: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "PEM certificates to trust instead of the system's." }),
  })
  .meta({ description: "Where proofs connect instead of what DNS says; the server name stays the host." });
export type DialBlock = z.output<typeof dialBlock>;

/** As a login uses it; `ca` is the certificates themselves, PEM. Null: dial what DNS says. */
export interface Dial {
  readonly host: string;
  readonly port: number;
  readonly ca?: string;
}

/** Reads the certificates. Throws `invalid_target` naming the path if that fails. */
export function openDial(block: DialBlock | undefined): Dial | null {
  if (block === undefined) return null;
  const { host, port, ca } = block;
  if (ca === undefined) return { host, port };
  try {
    return { host, port, ca: readFileSync(ca, "utf8") };
  } catch {
    throw new SyncError("invalid_target", `the certificates of dial.ca cannot be read from ${ca}`, {
      next: "Let `dial.ca` name a PEM file that the server may read.",
    });
  }
}
