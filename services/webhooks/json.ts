import { z } from "zod";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Undefined if the bytes are not UTF-8. */
export function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Undefined if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A name as a vendor would write it: bounded, and without what Postgres or a log cannot hold. */
export function plainText(maxLength: number): z.ZodString {
  return (
    z
      .string()
      .min(1)
      .max(maxLength)
      // Control characters, and halves of characters: JSON can hold both, and Postgres neither.
      .regex(/^[^\p{Cc}\p{Cs}]+$/u)
  );
}

/** The fields that do not fit, by path. Their values are not repeated. */
export function misfits(error: z.ZodError): string {
  return error.issues.map((issue) => issue.path.join(".") || "(top)").join(", ");
}
