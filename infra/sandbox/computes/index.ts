import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { resolve } from "node:path";
import { Branches } from "./branches.ts";
import { createAuthority } from "./certificate.ts";
import { createGate } from "./gate.ts";
import type { BranchContents } from "./roles.ts";
import { type Destination, type Endpoint, route } from "./route.ts";

/** Somebody logged in, and was let in. */
export interface SeenLogin {
  readonly branchId: string;
  readonly pooled: boolean;
  readonly role: string;
  readonly database: string;
  /** One of them opened it: nobody is shown which, and while a password changes there are two. */
  readonly passwords: readonly string[];
}

export type { BranchContents, ComputeDatabase, ComputeRole } from "./roles.ts";

/**
 * The databases underneath the sandbox's Neon: one real PostgreSQL server per branch, behind one TLS port
 * that routes and refuses as Neon's proxy does. Nothing is started before somebody logs in.
 */
export interface Computes {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** The authority behind every certificate, PEM. */
  readonly ca: string;
  /** Ids of the branches whose server runs now. */
  readonly alive: readonly string[];
  /** Every login that went well, the oldest first. */
  readonly logins: readonly SeenLogin[];
  /** Sessions are cut when the endpoint moves to another branch, gets another host or is disabled. */
  setEndpoint(id: string, endpoint: Endpoint): void;
  removeEndpoint(id: string): void;
  /** Resolves when a running server has it; another gets it when it starts. A new password cuts the role's sessions. */
  setBranch(id: string, contents: BranchContents): Promise<void>;
  /** Its data are gone too. */
  removeBranch(id: string): Promise<void>;
  close(): Promise<void>;
}

export interface ComputesOptions {
  /** What the servers say, each line with its branch; never a value. */
  readonly log?: (line: string) => void;
  /** At most so many servers at once; default 8. */
  readonly mostAlive?: number;
  /** Where they keep their data while they live; default `.branchline/computes`. */
  readonly folder?: string;
}

export async function startComputes(options: ComputesOptions = {}): Promise<Computes> {
  const log = options.log ?? (() => undefined);
  const folder = options.folder ?? resolve(".branchline/computes");
  const branches = new Branches({ folder, mostAlive: options.mostAlive ?? 8, log });
  const endpoints = new Map<string, Endpoint>();
  const sessions = new Sessions();
  const logins: SeenLogin[] = [];
  const authority = createAuthority();

  const gate = createGate({
    authority,
    log,
    route: (serverName, parameters) => route(serverName, parameters, endpoints),
    open: (branchId) => branches.open(branchId),
    cancelPort: (serverName) => {
      const branchId = branchOf(serverName, endpoints);
      return branchId === null ? null : branches.portOf(branchId);
    },
    onSession: (destination, socket) => sessions.add(destination, socket),
    onLogin: ({ branchId, pooled, parameters }) => {
      const role = parameters.get("user") ?? "";
      const database = parameters.get("database") ?? role;
      const before = branches.passwordsOf(branchId, role);
      return () => {
        const passwords = [...new Set([...before, ...branches.passwordsOf(branchId, role)])];
        logins.push({ branchId, pooled, role, database, passwords });
      };
    },
  });
  const clients = new Set<Socket>();
  gate.on("connection", (socket: Socket) => {
    clients.add(socket);
    socket.once("close", () => clients.delete(socket));
  });
  gate.listen(0, "127.0.0.1");
  await once(gate, "listening");

  return {
    host: "127.0.0.1",
    port: (gate.address() as AddressInfo).port,
    ca: authority.certificate,
    logins,
    get alive() {
      return branches.alive;
    },
    setEndpoint(id, endpoint) {
      const { branchId, host, disabled } = endpoints.get(id) ?? endpoint;
      endpoints.set(id, endpoint);
      const isSame =
        branchId === endpoint.branchId && host === endpoint.host && disabled === endpoint.disabled;
      if (!isSame) sessions.cut(id);
    },
    removeEndpoint(id) {
      endpoints.delete(id);
      sessions.cut(id);
    },
    setBranch: (id, contents) => branches.set(id, contents),
    removeBranch: (id) => branches.remove(id),
    async close() {
      gate.close();
      for (const socket of clients) socket.destroy();
      await branches.close();
    },
  };
}

/** Which sockets are let through to which endpoint. */
class Sessions {
  readonly #byEndpoint = new Map<string, Set<Socket>>();

  add({ endpointId }: Destination, socket: Socket): void {
    const sockets = this.#byEndpoint.get(endpointId) ?? new Set();
    this.#byEndpoint.set(endpointId, sockets.add(socket));
    socket.once("close", () => sockets.delete(socket));
  }

  cut(endpointId: string): void {
    for (const socket of this.#byEndpoint.get(endpointId) ?? []) socket.destroy();
  }
}

function branchOf(serverName: string | null, endpoints: ReadonlyMap<string, Endpoint>): string | null {
  try {
    return route(serverName, new Map(), endpoints).branchId;
  } catch {
    return null; // a cancellation is never answered
  }
}
