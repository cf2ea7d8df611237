/** Small helpers that the adapters share for what the file says about destinations and targets. */
import { z } from "zod";
import { SyncError } from "../sync/errors.ts";

/** Parses a rule's target. Throws `invalid_target`, which names each field and what was expected there. */
export function parseTarget<T>(vendor: string, schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const field = issue.path.map(String).join(".");
    return field === "" ? issue.message : `${field}: ${issue.message}`;
  });
  throw invalidTarget(vendor, problems.join("; "));
}

/** A target that cannot be meant. `message` is our words and may name fields, never a credential. */
export function invalidTarget(vendor: string, message: string): SyncError {
  return new SyncError("invalid_target", `the target is not one of ${vendor}: ${message}`, {
    vendor,
    next: "Correct the rule's `target`.",
  });
}

/** The vendor's API: https, without a slash at the end. http is for private networks, checked on each call. */
export function baseUrl(fallback: string) {
  return z
    .url({ protocol: /^https?$/, error: "expected a URL such as https://api.example.com" })
    .transform((url) => url.replace(/\/+$/, ""))
    .prefault(fallback);
}

/** `privateNetwork` of every destination that is reached over the network. */
export const privateNetwork = z
  .boolean()
  .default(false)
  .meta({ description: "Allow http and private addresses for this destination." });
