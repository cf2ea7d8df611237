/**
 * Why a login failed: what Neon's proxy, its pooler, Postgres, TLS, DNS and the network say, and what
 * each of them means for whoever holds the connection string. Texts as in Neon's page on connection
 * errors (neon.com/docs/connect/connection-errors) and the sources of its proxy, 2026-03.
 */

export const CATEGORIES = [
  "authentication",
  "role_without_login",
  "ssl",
  "sni",
  "ip_allow_list",
  "endpoint_missing",
  "endpoint_disabled",
  "quota",
  "cold_start",
  "connection_limit",
  "startup_parameter",
  "pooler_mode",
  "database",
  "dns",
  "network",
  "timeout",
  "wrong_login",
  "unknown",
] as const;
export type Category = (typeof CATEGORIES)[number];

export interface Diagnosis {
  readonly category: Category;
  /** What is most likely wrong, in one sentence. */
  readonly cause: string;
  /** What was seen: the known phrase, SQLSTATE or error code. Never text that came over the wire. */
  readonly evidence: string;
  /** What to do, in one sentence. */
  readonly next: string;
  /** Waiting may be the cure: the same login may work in a moment. */
  readonly transient: boolean;
}

/** Reads any error of a login; a plain text is read as the message of one. */
export function diagnose(error: unknown): Diagnosis {
  const seen = read(error);
  for (const row of CATALOGUE) {
    const phrase = row.says?.find((known) => includes(seen.message, known));
    const code = row.codes?.find((known) => seen.codes.includes(known));
    if (phrase === undefined && code === undefined) continue;
    const { category, cause, next, transient = false } = row;
    return { category, cause, next, transient, evidence: evidence(phrase, seen.codes) };
  }
  return {
    category: "unknown",
    cause: "the login failed for a reason that is not in the catalogue",
    evidence: evidence(undefined, seen.codes),
    next: "Log in with psql and the same string to see the full message.",
    transient: false,
  };
}

export interface CatalogueRow {
  readonly category: Category;
  /** Parts of messages, `*` for anything in between; case does not matter. */
  readonly says?: readonly string[];
  /** SQLSTATE or Node's error code. */
  readonly codes?: readonly string[];
  readonly cause: string;
  readonly next: string;
  readonly transient?: boolean;
}

/** The first row that fits is the answer: what is more telling comes first, bare codes come last. */
export const CATALOGUE: readonly CatalogueRow[] = [
  {
    category: "sni",
    says: ["endpoint id is not specified"],
    cause: "the client sent no server name in TLS, so Neon cannot tell which endpoint is meant",
    next: "Update the client (libpq 14 or newer), or use the form with the SNI workaround.",
  },
  {
    category: "sni",
    says: ["inconsistent project name inferred from sni"],
    cause: "the endpoint in `options` is not the one that the host names",
    next: "Let both name the same endpoint, with -pooler in both or in neither.",
  },
  {
    category: "sni",
    says: ["common name inferred from sni"],
    cause: "the part of the host behind the endpoint's name is not one of Neon's",
    next: "Take the host as Neon shows it; its region part cannot be changed.",
  },
  {
    category: "ssl",
    says: ["connection is insecure"],
    cause: "the client did not ask for TLS, which Neon requires",
    next: "Add sslmode=require to the string.",
  },
  {
    category: "ip_allow_list",
    says: [
      "this ip address * is not allowed",
      "blocked network",
      "vpc endpoint * not allowed",
      "public connections * blocked",
    ],
    cause: "the project does not let this network in",
    next: "Add the address to the project's IP Allow list, or connect from the network that it allows.",
  },
  {
    category: "endpoint_disabled",
    says: ["endpoint is disabled"],
    cause: "the endpoint exists and is disabled",
    next: "Enable the endpoint in Neon, or give the branch another compute.",
  },
  {
    category: "endpoint_missing",
    says: ["endpoint cannot be found", "endpoint * not found"],
    cause: "no endpoint has this host any more: the branch or its compute was deleted",
    next: "Take the string of a branch that exists; Branchline follows by itself once it has seen the change.",
  },
  {
    category: "quota",
    says: [
      "active endpoints limit exceeded",
      "compute time quota",
      "data transfer quota",
      "exceeded the * quota",
    ],
    cause: "a limit of the Neon plan is used up",
    next: "Suspend computes that are not needed or raise the plan's limit.",
  },
  {
    category: "quota",
    says: ["endpoint is temporarily unavailable", "check your quotas"],
    cause: "the endpoint is in maintenance or over its quota",
    next: "Wait a minute; if it stays, look at the project's quotas in Neon.",
    transient: true,
  },
  {
    category: "connection_limit",
    says: ["too many connections to this endpoint", "failed to acquire permit"],
    cause: "Neon's proxy limits how fast connections to this endpoint may be opened",
    next: "Open fewer connections at once.",
    transient: true,
  },
  {
    category: "connection_limit",
    says: ["query_wait_timeout", "no more connections allowed", "max_client_conn"],
    cause: "the pooler has no free connection",
    next: "End long transactions, or give the compute more capacity.",
    transient: true,
  },
  {
    category: "connection_limit",
    says: ["remaining connection slots are reserved", "too many connections", "too many clients"],
    codes: ["53300"],
    cause: "Postgres has no free connection",
    next: "Use the pooled host for applications, or give the compute more capacity.",
    transient: true,
  },
  {
    category: "startup_parameter",
    says: ["unsupported startup parameter"],
    cause: "the client sets a parameter at start that the pooler does not pass on",
    next: "Take the parameter out of the string (search_path, statement_timeout, ...), or use the direct host.",
  },
  {
    category: "pooler_mode",
    says: ["prepared statement * already exists"],
    codes: ["42P05"],
    cause: "session state is used over the pooler, which gives each transaction another session",
    next: "Use the direct host for migrations and sessions.",
  },
  {
    category: "role_without_login",
    says: ["is not permitted to log in"],
    cause: "the role exists and may not log in",
    next: "Choose a role with LOGIN, or grant it: ALTER ROLE ... LOGIN.",
  },
  {
    category: "database",
    says: ["database * does not exist"],
    codes: ["3D000"],
    cause: "the branch has no such database",
    next: "Check the database's name on this very branch.",
  },
  {
    category: "database",
    says: ["permission denied for database"],
    codes: ["42501"],
    cause: "the role may not connect to this database",
    next: "GRANT CONNECT on the database to the role.",
  },
  {
    category: "cold_start",
    says: [
      "couldn't connect to compute node",
      "the database system is starting up",
      "terminating connection due to administrator command",
      "p1001",
    ],
    codes: ["57P01", "57P03"],
    cause: "the compute is starting, restarting or down",
    next: "Try again in a few seconds, or raise the connect timeout for computes that sleep.",
    transient: true,
  },
  {
    category: "authentication",
    says: ["password authentication failed", "role * does not exist", "sasl:", "server signature"],
    codes: ["28P01", "28000"],
    cause: "role and password do not fit: most often the password was changed after the string was made",
    next: "Take the present password from Neon; Branchline pushes it to every place that it keeps.",
  },
  {
    category: "ssl",
    says: ["does not support ssl connections", "error establishing an ssl connection"],
    cause: "what answered at this address does not speak TLS as Postgres does",
    next: "Check host, port and `dial`; a firewall or another service may be in between.",
  },
  {
    category: "ssl",
    codes: [
      "CERT_HAS_EXPIRED",
      "CERT_NOT_YET_VALID",
      "CERT_UNTRUSTED",
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "SELF_SIGNED_CERT_IN_CHAIN",
      "UNABLE_TO_GET_ISSUER_CERT",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "ERR_TLS_CERT_ALTNAME_INVALID",
    ],
    cause: "the certificate was not issued for this host by an authority that is trusted here",
    next: "Check that nothing intercepts TLS; for a private network name its authority in `dial.ca`.",
  },
  {
    category: "ssl",
    codes: ["EPROTO", "ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_TLSV1_UNRECOGNIZED_NAME"],
    cause: "the TLS handshake failed",
    next: "Check host, port and `dial`; an unknown host name is refused at this point too.",
  },
  {
    category: "dns",
    codes: ["EAI_AGAIN"],
    cause: "the name server did not answer",
    next: "Check this machine's name resolution.",
    transient: true,
  },
  {
    category: "dns",
    codes: ["ENOTFOUND", "ENODATA"],
    cause: "the host does not exist in DNS",
    next: "Check the host's spelling and region; on a private network check its DNS zone.",
  },
  {
    category: "timeout",
    says: [
      "timeout expired",
      "query read timeout",
      "idle-in-transaction timeout",
      "was aborted due to timeout",
    ],
    codes: ["ETIMEDOUT", "ESOCKETTIMEDOUT", "25P03", "57014"],
    cause: "no answer within the time allowed: the compute is waking slowly, or a firewall drops the packets",
    next: "Try again; if it stays, check that port 5432 is open towards Neon.",
    transient: true,
  },
  {
    category: "network",
    says: ["connection terminated", "ssl syscall", "socket hang up", "socket disconnected"],
    codes: ["ECONNREFUSED", "ECONNRESET", "EPIPE", "EHOSTUNREACH", "ENETUNREACH", "EADDRNOTAVAIL", "08006"],
    cause: "the connection could not be made or broke off",
    next: "Try again; if it stays, check the way from here to the host and port.",
    transient: true,
  },
];

/** What the catalogue compares. Codes only if they look like codes; an error of several is all of them. */
function read(error: unknown): { readonly message: string; readonly codes: readonly string[] } {
  if (typeof error === "string") return { message: error, codes: [] };
  if (!(error instanceof Error)) return { message: "", codes: [] };
  const code: unknown = "code" in error ? error.code : undefined;
  const own = typeof code === "string" && /^[A-Z0-9_]{2,60}$/.test(code) ? [code] : [];
  const inner = error instanceof AggregateError ? error.errors.flatMap((each) => read(each).codes) : [];
  return { message: error.message, codes: [...new Set([...own, ...inner])] };
}

function includes(message: string, phrase: string): boolean {
  const text = message.toLowerCase();
  let from = 0;
  for (const part of phrase.split("*")) {
    const at = text.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return true;
}

function evidence(phrase: string | undefined, codes: readonly string[]): string {
  const shown = codes.length === 0 ? "" : codes.map(codeInWords).join(", ");
  if (phrase === undefined) return shown === "" ? "no code, and no known phrase" : shown;
  const said = `the answer contains "${phrase.replaceAll("*", "...")}"`;
  return shown === "" ? said : `${said} (${shown})`;
}

function codeInWords(code: string): string {
  return /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code) ? `SQLSTATE ${code}` : code;
}
