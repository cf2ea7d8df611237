/** The only list of sources: whoever adds one adds a line here. */
import type { SourceAdapter } from "../sync/ports.ts";
import { neonSource } from "./neon.ts";

export const sourceAdapters: readonly SourceAdapter[] = [neonSource];
