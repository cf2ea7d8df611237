/**
 * The few messages of the PostgreSQL protocol that a proxy must understand before it only copies bytes.
 * https://www.postgresql.org/docs/18/protocol-message-formats.html
 */
export type FirstMessage =
  | { readonly kind: "ssl" | "gss" }
  /** To be handed on as it is. */
  | { readonly kind: "cancel"; readonly bytes: Buffer }
  | { readonly kind: "startup"; readonly version: number; readonly parameters: ReadonlyMap<string, string> };

const SSL_REQUEST = 80_877_103;
const GSS_REQUEST = 80_877_104;
const CANCEL_REQUEST = 80_877_102;
const LONGEST = 10_000; // PostgreSQL's own limit on what comes before authentication

/**
 * Takes the first message off the front. Null: not all of it is there yet. Throws on what no client sends.
 */
export function takeFirstMessage(bytes: Buffer): { message: FirstMessage; rest: Buffer } | null {
  if (bytes.length < 8) return null;
  const length = bytes.readUInt32BE(0);
  if (length < 8 || length > LONGEST) throw new Error("not a first message of the PostgreSQL protocol");
  if (bytes.length < length) return null;
  return { message: parse(bytes.subarray(0, length)), rest: bytes.subarray(length) };
}

function parse(bytes: Buffer): FirstMessage {
  const code = bytes.readUInt32BE(4);
  if (code === SSL_REQUEST) return { kind: "ssl" };
  if (code === GSS_REQUEST) return { kind: "gss" };
  if (code === CANCEL_REQUEST) return { kind: "cancel", bytes };
  const words = bytes.subarray(8).toString("utf8").split("\0");
  const parameters = new Map<string, string>();
  for (let at = 0; at + 1 < words.length && words[at] !== ""; at += 2)
    parameters.set(words[at] ?? "", words[at + 1] ?? "");
  return { kind: "startup", version: code, parameters };
}

export function startupMessage(version: number, parameters: ReadonlyMap<string, string>): Buffer {
  const words = [...parameters].flat().map((word) => `${word}\0`);
  const body = Buffer.from(`${words.join("")}\0`);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(head.length + body.length, 0);
  head.writeUInt32BE(version, 4);
  return Buffer.concat([head, body]);
}

/** An ErrorResponse that ends the session. */
export function fatal(sqlstate: string, message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${sqlstate}\0M${message}\0\0`);
  const head = Buffer.alloc(5);
  head.write("E");
  head.writeUInt32BE(4 + fields.length, 1);
  return Buffer.concat([head, fields]);
}
