/** A configured server address: scheme, host, port. Nothing that a path of ours could be glued onto wrongly. */
import { z } from "zod";

export const origin = z
  .string()
  .refine(
    (text) => URL.canParse(text) && /^https?:\/\/[^/?#@\s]+\/?$/i.test(text),
    "expected https://host without a path",
  )
  .transform((text) => new URL(text).origin);
