import { randomUUID } from "node:crypto";
import type { Incoming } from "../../services/store/ingest.ts";

/** A push to the git branch `x` of the source `shop`, as far as it goes without the database, with what is said otherwise. */
export const incoming = (over: Partial<Incoming> = {}): Incoming => ({
  origin: "github",
  deliveryId: randomUUID(),
  kind: "push",
  sources: ["shop"],
  project: null,
  neonBranchId: null,
  wakes: true,
  subject: { gitBranch: "x" },
  ignored: null,
  ...over,
});
