/** What the admin API needs of our own database. */
import type { TrustedIssuer } from "../file/auth.ts";
import { createIo } from "../http.ts";
import type { Database } from "../store/db.ts";
import type { SourceRow } from "../store/source.ts";
import { useToken } from "../store/token.ts";
import type { Fingerprinter } from "../sync/fingerprint.ts";
import type { Source, Traits } from "../sync/ports.ts";
import type { Secret } from "../sync/secret.ts";
import { createActs } from "./acts.ts";
import type { ApiDeps } from "./app.ts";
import { adminTokenOnly, anyOf, storedTokens } from "./auth.ts";
import { createChanges, createStanding } from "./changes.ts";
import { createCommits } from "./commit.ts";
import { createTokens } from "./keep-tokens.ts";
import { createUnmanage } from "./managed.ts";
import { oidcTokens } from "./oidc.ts";
import { createReveal } from "./reveal.ts";
import { probes, readers, warnings } from "./store.ts";
import { createTell } from "./tell.ts";

export interface FromStore {
  readonly database: Database;
  readonly adminToken: Secret | null;
  /** Names of the sources that a repository (`owner/name`, in any case) concerns. */
  readonly sourcesOf: (repository: string) => readonly string[];
  /** Of a kind of destination. */
  readonly traits: (kind: string) => Pick<Traits, "normaliseName"> | undefined;
  /** Opens a source for one request; every read of it goes to Neon. */
  readonly open: (row: SourceRow, signal: AbortSignal) => Source;
  readonly fingerprint: Fingerprinter;
  /** After a commit: somebody should look. */
  readonly kick: () => void;
  readonly onError: (error: unknown) => void;
  /** Identity providers that are trusted now; default: none. */
  readonly trusted?: () => readonly TrustedIssuer[];
}

/** `stop` ends the streams that are open, so that the listener can close. */
export function depsFromStore(options: FromStore): Omit<
  ApiDeps,
  "log" | "metrics" | "webhooks" | "plan" | "survey" | "document"
> & {
  readonly stop: () => void;
} {
  const { database, adminToken, sourcesOf, traits, open, fingerprint, kick, onError } = options;
  const { db } = database;
  const changes = createChanges(db, { onError });
  return {
    authenticate: anyOf(
      adminTokenOnly(adminToken),
      storedTokens((hash) => useToken(db, hash)),
      oidcTokens({ trusted: options.trusted ?? (() => []), io: providerIo }),
    ),
    probes: probes(database),
    warnings: warnings(database),
    ...readers(database),
    ...createActs({ db, sourcesOf, kick }),
    unmanage: createUnmanage(db),
    tokens: createTokens(db),
    standing: createStanding(db),
    changes,
    reveal: createReveal({ db, open, commits: createCommits({ db, kick }), fingerprint }),
    tell: createTell({ db, traits, kick }),
    stop: () => changes.stop(),
  };
}

/** Its calls count against nobody's limits, and hold nothing to be fingerprinted. */
const providerIo = (privateNetwork: boolean) =>
  createIo({ fingerprint: () => "", signal: new AbortController().signal, privateNetwork });
