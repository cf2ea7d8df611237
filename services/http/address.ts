/**
 * Which addresses outgoing requests may reach. Hosts come from configuration, but a name can resolve
 * to anything, so the check is made on the resolved address, at the moment of connecting.
 */
import { lookup as resolve } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { SyncError } from "../sync/errors.ts";

/**
 * Why an address is refused, in words, or null. Cloud metadata is refused always, everything else that is
 * not public only when the destination does not say `privateNetwork: true`. (RFC 6890 special purpose
 * addresses; an IPv4 address inside an IPv6 one is judged as itself.)
 */
export function refuseAddress(address: string, privateNetwork: boolean): string | null {
  const plain = embeddedV4(address) ?? address;
  const family = isIP(plain) === 6 ? "ipv6" : "ipv4";
  if (METADATA.check(plain, family)) return "a cloud metadata or link-local address";
  if (!privateNetwork && NOT_PUBLIC.check(plain, family)) return "a private or local address";
  return null;
}

/** A drop-in for `dns.lookup` that answers with a `policy` error instead of a refused address. */
export function guardedLookup(privateNetwork: boolean): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, "");
      for (const { address } of addresses) {
        const refusal = refuseAddress(address, privateNetwork);
        if (refusal !== null) return callback(refusedAddress(refusal), "");
      }
      if (options.all === true) return callback(null, addresses);
      const first = addresses[0];
      if (first === undefined) return callback(noAddress(), "");
      callback(null, first.address, first.family);
    });
  };
}

/**
 * The parsed URL of a request that may be made: https (http only on a private network), no
 * credentials in it, no refused literal address. Throws `policy`.
 */
export function permittedUrl(text: string, privateNetwork: boolean): URL {
  if (!URL.canParse(text)) throw refused("the configured address is not a URL");
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") {
    throw refused("the configured address holds a user name or password");
  }
  if (url.protocol !== "https:" && !(url.protocol === "http:" && privateNetwork)) {
    throw refused("the configured address is not https");
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const refusal = isIP(host) === 0 ? null : refuseAddress(host, privateNetwork);
  if (refusal !== null) throw refusedAddress(refusal);
  return url;
}

/** Link-local, and what is beside it at Azure (its wire server), Alibaba, Oracle, and with IPv6 at AWS and Google. */
const METADATA = blocks([
  ["169.254.0.0", 16],
  ["168.63.129.16", 32],
  ["100.100.100.200", 32],
  ["192.0.0.192", 32],
  ["fe80::", 10],
  ["fd00:ec2::", 32],
  ["fd20:ce::254", 128],
]);

const NOT_PUBLIC = blocks([
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  ["::", 128],
  ["::1", 128],
  ["fc00::", 7],
  ["fec0::", 10],
  ["ff00::", 8],
]);

function blocks(subnets: readonly (readonly [net: string, bits: number])[]): BlockList {
  const list = new BlockList();
  for (const [net, bits] of subnets) list.addSubnet(net, bits, net.includes(":") ? "ipv6" : "ipv4");
  return list;
}

/** The IPv4 address inside a mapped (::ffff:), compatible (::), NAT64 (64:ff9b::) or 6to4 (2002:) one. */
function embeddedV4(address: string): string | null {
  if (isIP(address) !== 6) return null;
  const groups = expand(address);
  const head = groups.slice(0, 6).map((group) => group.toString(16));
  const [, first = 0, second = 0, , , , high = 0, low = 0] = groups;
  if (["0:0:0:0:0:ffff", "64:ff9b:0:0:0:0"].includes(head.join(":"))) return dotted(high, low);
  if (head.join(":") === "0:0:0:0:0:0" && high !== 0) return dotted(high, low);
  if (head[0] === "2002") return dotted(first, second);
  return null;
}

/** The eight groups of an IPv6 address that `isIP` has accepted. */
function expand(address: string): readonly number[] {
  const bare = address.split("%")[0] ?? address;
  // The URL parser writes any IPv6 address in its one canonical form, the dotted tail included.
  const canonical = new URL(`http://[${bare}]/`).hostname.slice(1, -1);
  const [left = "", right] = canonical.split("::");
  const parse = (part: string) =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  if (right === undefined) return parse(left);
  const [start, end] = [parse(left), parse(right)];
  return [...start, ...new Array<number>(8 - start.length - end.length).fill(0), ...end];
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

function refusedAddress(kind: string): SyncError {
  return refused(`the configured host is ${kind}`);
}

function refused(message: string): SyncError {
  return new SyncError("policy", message, {
    next: "Correct the address in the configuration, or say `privateNetwork: true` if this place is meant to be private.",
  });
}

function noAddress(): Error {
  return Object.assign(new Error("no address"), { code: "ENOTFOUND" });
}
