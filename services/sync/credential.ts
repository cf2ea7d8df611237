/** How the file names a credential: `env:NAME`, `file:PATH`, or where it is stored; never the credential itself. */
import { z } from "zod";
import type { CredentialRef } from "./ports.ts";
import { Secret } from "./secret.ts";

const EXPECTED = "expected env:NAME or file:/absolute/path, and never the credential itself";

const reference = z
  .string({ error: EXPECTED })
  .check((context) => {
    const refusal = refuseCredentialRef(context.value);
    if (refusal !== null) context.issues.push({ code: "custom", message: refusal, input: undefined });
  })
  .meta({
    description:
      "Where the server finds the credential: env:NAME, file:/absolute/path, vault:DESTINATION/path#key or aws-sm:DESTINATION/secretId#key. Never the credential.",
    pattern: "^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+|vault:[^/#]+/[^#]+#.+|aws-sm:[^/#]+/[^#]+(#.+)?)$",
  })
  .transform((ref): CredentialRef => ({ ref }));

/** Credentials that came along with a document, by the references that stand for them. Gone with the document. */
const inline = new WeakMap<CredentialRef, Secret>();

/** The credential itself, if it came along with the document. */
export const inlineCredential = (ref: CredentialRef): Secret | undefined => inline.get(ref);

const given = z
  .strictObject({
    inline: z.string().min(1).meta({
      description: "The credential itself, in a document that is sent to the API: it is sealed there.",
    }),
  })
  .transform(({ inline: text }): CredentialRef => {
    const ref = { ref: "inline:" };
    inline.set(ref, new Secret(text));
    return ref;
  });

/**
 * A credential as a document names it. The message never repeats what was written, since the usual mistake is
 * to paste the credential itself.
 */
export const credentialRef = z.union([reference, given], { error: EXPECTED });

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
  return isStoredRef(ref) ? null : EXPECTED;
}

/** In a secret store, which has to be asked: `vault:DESTINATION/path#key`, `aws-sm:DESTINATION/secretId#key`. */
export const isStoredRef = (ref: string): boolean =>
  /^(vault:[^/#\s]+\/[^#\s]+#.+|aws-sm:[^/#\s]+\/[^#\s]+(#.+)?)$/.test(ref);

const OUR_OWN = /^(BRANCHLINE_|DATABASE_URL$|REDIS_URL$)/i;
