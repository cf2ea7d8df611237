/** A proxy before a stand-in that, when told to, refuses requests and says in the refusal all it was sent. */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Echo {
  readonly url: string;
  /** Requests answered by ourselves so far. */
  readonly echoed: number;
  /** From now on this status to every write (to reads too with `all`), or null: everything is passed on. */
  refuseWith(status: number | null, which?: "writes" | "all"): void;
  close(): Promise<void>;
}

export async function startEcho(target: string): Promise<Echo> {
  let status: number | null = null;
  let reads = false;
  let echoed = 0;
  const server = createServer((incoming, outgoing) => {
    if (status === null || !(reads || isWrite(incoming))) return pass(target, incoming, outgoing);
    const refusal = status;
    echoed += 1;
    void textOf(incoming).then((body) => refuse(refusal, incoming, body, outgoing));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get echoed() {
      return echoed;
    },
    refuseWith: (next, which = "writes") => {
      status = next;
      reads = which === "all";
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** AWS says in a header what it is; Vault's logins write nothing. */
function isWrite({ method, url = "", headers }: IncomingMessage): boolean {
  const target = headers["x-amz-target"];
  if (typeof target === "string") return /\.(Put|Create|Update)\w+$/.test(target);
  return method !== "GET" && url !== "/" && !url.startsWith("/v1/auth/");
}

function pass(target: string, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { method, headers, url = "/" } = incoming;
  const onward = request(`${target}${url}`, { method, headers, agent: false }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
    answer.on("error", () => outgoing.destroy());
  });
  onward.on("error", () => outgoing.destroy());
  incoming.pipe(onward);
}

/** In the shapes of all five vendors at once. */
function refuse(
  status: number,
  { method, url, rawHeaders }: IncomingMessage,
  body: string,
  to: ServerResponse,
): void {
  const message = [method, url, ...rawHeaders, body].join("\n");
  to.writeHead(status, { "content-type": "application/json", "x-amzn-errortype": "ValidationException" });
  to.end(
    JSON.stringify({
      __type: "ValidationException",
      code: message,
      message,
      Message: message,
      error: { code: "bad_request", message },
      errors: [message],
    }),
  );
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
