/** How the file names a credential: `env:NAME` or `file:PATH`, never the credential itself. */
import { z } from "zod";
import type { CredentialRef } from "./ports.ts";

const EXPECTED = "expected env:NAME or file:/absolute/path, and never the credential itself";

/**
 * A reference in branchline.yaml. The message never repeats what was written, since the usual mistake is
 * to paste the credential itself.
 */
export const credentialRef = z
  .string({ error: EXPECTED })
  .check((context) => {
    const refusal = refuseCredentialRef(context.value);
    if (refusal !== null) context.issues.push({ code: "custom", message: refusal, input: undefined });
  })
  .meta({
    description:
      "Where the server finds the credential: env:NAME or file:/absolute/path. Never the credential.",
    pattern: "^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$",
  })
  .transform((ref): CredentialRef => ({ ref }));

/** Why a reference is refused, in words that do not repeat it, or null. */
export function refuseCredentialRef(ref: string): string | null {
  if (ref.startsWith("env:")) {
    const name = ref.slice("env:".length);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return EXPECTED;
    return OUR_OWN.test(name) ? "refers to one of Branchline's own settings, which are no credentials" : null;
  }
  if (ref.startsWith("file:")) {
    const path = ref.slice("file:".length);
    if (!path.startsWith("/") || path.includes("\0")) return EXPECTED;
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    if (parts.includes("..")) return "refers to a path with `..` in it; write the absolute path";
    return parts[0] === "proc" ? "refers to /proc, which holds no credentials" : null;
  }
  return EXPECTED;
}
const OUR_OWN = /^(BRANCHLINE_|DATABASE_URL$|REDIS_URL$)/i;
