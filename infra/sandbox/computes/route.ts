/** Which compute a session is for, decided as Neon's proxy does: by TLS server name, by option, or both. */
export interface Endpoint {
  readonly branchId: string;
  readonly disabled: boolean;
  /** The direct host. */
  readonly host: string;
}

export interface Destination {
  readonly endpointId: string;
  readonly branchId: string;
  readonly pooled: boolean;
  /** What the compute itself is to be told: the proxy's own options are taken out. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** Refused before authentication; the message is the one that Neon's users see. */
export class Refusal extends Error {
  readonly sqlstate: string;

  constructor(message: string, sqlstate = "08000") {
    super(message);
    this.name = "Refusal";
    this.sqlstate = sqlstate;
  }
}

const POOLER = "-pooler";
/** PgBouncer follows these five, and refuses what else a client wants to set at start. */
const POOLED = new Set([
  "client_encoding",
  "datestyle",
  "timezone",
  "standard_conforming_strings",
  "application_name",
]);

/** Throws Refusal. `serverName` is what the client said in its TLS hello, null if nothing. */
export function route(
  serverName: string | null,
  startup: ReadonlyMap<string, string>,
  endpoints: ReadonlyMap<string, Endpoint>,
): Destination {
  const { named, rest } = readOptions(startup.get("options") ?? "");
  const [label, domain] = splitHost(serverName);
  if (label !== null && named !== null && label !== named) {
    throw new Refusal(
      `Inconsistent project name inferred from SNI ('${label}') and project option ('${named}').`,
    );
  }
  const spelled = label ?? named;
  if (spelled === null) throw new Refusal(NO_ENDPOINT);
  const isPooled = spelled.endsWith(POOLER);
  const endpointId = isPooled ? spelled.slice(0, -POOLER.length) : spelled;
  const endpoint = endpoints.get(endpointId);
  if (endpoint === undefined) throw new Refusal("Control plane request failed: endpoint cannot be found");
  if (domain !== null && domain !== splitHost(endpoint.host)[1]) {
    throw new Refusal(`Common name inferred from SNI ('${domain}') is not known`);
  }
  if (endpoint.disabled) throw new Refusal("Control plane request failed: endpoint is disabled");
  if (isPooled) refuseUnpooled(startup, rest);
  const parameters = new Map([...startup].filter(([name]) => name !== "options"));
  if (rest.length > 0) parameters.set("options", rest.join(" "));
  return { endpointId, branchId: endpoint.branchId, pooled: isPooled, parameters };
}

/** First label and the rest; a name without dots has no rest. */
function splitHost(host: string | null): [string | null, string | null] {
  if (host === null) return [null, null];
  const [label, ...rest] = host.toLowerCase().split(".");
  return [label ?? null, rest.join(".")];
}

/** `endpoint=` (`project=` of old) is for the proxy; two of them cancel each other out. */
function readOptions(options: string): { named: string | null; rest: string[] } {
  const words = options.split(/\s+/).filter((word) => word !== "");
  const isForProxy = (word: string) => /^(endpoint|project)=/.test(word);
  const names = words.filter(isForProxy).map((word) => word.slice(word.indexOf("=") + 1));
  return {
    named: names.length === 1 ? (names[0] ?? null) : null,
    rest: words.filter((word) => !isForProxy(word)),
  };
}

function refuseUnpooled(startup: ReadonlyMap<string, string>, options: readonly string[]): void {
  const isOurs = (name: string) => ["user", "database", "options"].includes(name) || name.startsWith("_pq_.");
  const strange = [...startup.keys()].find((name) => !isOurs(name) && !POOLED.has(name.toLowerCase()));
  if (strange !== undefined) throw new Refusal(`unsupported startup parameter: ${strange}`, "08P01");
  for (const name of settingsIn(options)) {
    if (!POOLED.has(name.toLowerCase())) {
      throw new Refusal(`unsupported startup parameter in options: ${name}`, "08P01");
    }
  }
}

/** The names set by `-c name=value`, `-cname=value` and `--name=value`. */
function settingsIn(options: readonly string[]): string[] {
  const text = options.join(" ").replaceAll(/(^|\s)-c\s*/g, "$1--");
  return text
    .split(/\s+/)
    .filter((word) => word !== "")
    .map((word) => word.replace(/^--/, "").split("=")[0] ?? word);
}

const NO_ENDPOINT =
  "Endpoint ID is not specified. Either please upgrade the postgres client library (libpq) for SNI support " +
  "or pass the endpoint ID (first part of the domain name) as a parameter: '?options=endpoint%3D<endpoint-id>'. " +
  "See more at https://neon.tech/sni";
