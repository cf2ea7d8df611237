import { createHash, createSign, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";

/** An authority of our own, made at start and kept in memory, that vouches for any host. */
export interface Authority {
  /** PEM. */
  readonly certificate: string;
  /** For a host. The certificate covers its siblings too, as Neon's do. */
  identityOf(host: string): Identity;
}

/** What a TLS server shows, in PEM, and the same as Node wants it. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
  readonly context: SecureContext;
}

export function createAuthority(): Authority {
  const name = "Branchline sandbox CA";
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const shared = { issuer: name, issuerKeys: keys };
  const certificate = issue({ ...shared, subject: name, publicKey: keys.publicKey, host: null });
  const known = new Map<string, Identity>();
  const make = (host: string): Identity => {
    const leaf = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const cert = issue({ ...shared, subject: host, publicKey: leaf.publicKey, host }) + certificate;
    const key = leaf.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    return { key, cert, context: createSecureContext({ key, cert }) };
  };
  return {
    certificate,
    identityOf(host) {
      const wildcard = host.toLowerCase().replace(/^[^.]+\./, "*.");
      const identity = known.get(wildcard) ?? make(wildcard);
      known.set(wildcard, identity);
      return identity;
    },
  };
}

interface Order {
  readonly issuer: string;
  readonly issuerKeys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  readonly subject: string;
  readonly publicKey: KeyObject;
  /** Null: an authority. */
  readonly host: string | null;
}

const DAY = 86_400_000;

/** X.509 v3 (RFC 5280, section 4.1), signed with ECDSA and SHA-256. Good for a year. */
function issue({ issuer, issuerKeys, subject, publicKey, host }: Order): string {
  const body = sequence(
    tagged(0xa0, integer(Buffer.of(2))),
    integer(Buffer.concat([Buffer.of(0x01), randomBytes(15)])),
    ECDSA_WITH_SHA256,
    commonName(issuer),
    sequence(time(Date.now() - DAY), time(Date.now() + 365 * DAY)),
    commonName(subject),
    spki(publicKey),
    tagged(0xa3, sequence(...extensions(host, publicKey, issuerKeys.publicKey))),
  );
  const signature = createSign("sha256").update(body).sign(issuerKeys.privateKey);
  const der = sequence(body, ECDSA_WITH_SHA256, bits(signature));
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

function extensions(host: string | null, own: KeyObject, issuers: KeyObject): Buffer[] {
  const identifiers = [
    extension(14, false, octets(keyId(own))),
    extension(35, false, sequence(tagged(0x80, keyId(issuers)))),
  ];
  const isTrue = Buffer.of(0x01, 0x01, 0xff);
  if (host === null) {
    const signsCertificates = Buffer.of(0x03, 0x02, 0x02, 0x04);
    return [extension(19, true, sequence(isTrue)), extension(15, true, signsCertificates), ...identifiers];
  }
  const names = sequence(tagged(0x82, Buffer.from(host)));
  const serverAuth = sequence(Buffer.from("06082b06010505070301", "hex"));
  return [
    extension(19, true, sequence()),
    extension(37, false, serverAuth),
    extension(17, false, names),
    ...identifiers,
  ];
}

// ---------------------------------------------------------------- DER

const ECDSA_WITH_SHA256 = sequence(Buffer.from("06082a8648ce3d040302", "hex"));

/** An extension of the arc 2.5.29. */
function extension(number: number, isCritical: boolean, value: Buffer): Buffer {
  const flag = isCritical ? Buffer.of(0x01, 0x01, 0xff) : Buffer.alloc(0);
  return sequence(Buffer.of(0x06, 0x03, 0x55, 0x1d, number), flag, octets(value));
}

function commonName(name: string): Buffer {
  const attribute = sequence(Buffer.from("0603550403", "hex"), tagged(0x0c, Buffer.from(name)));
  return sequence(tagged(0x31, attribute));
}

/** UTCTime, YYMMDDhhmmssZ: RFC 5280 wants it for every date before 2050. */
function time(at: number): Buffer {
  return tagged(0x17, Buffer.from(`${new Date(at).toISOString().slice(2, 19).replaceAll(/\D/g, "")}Z`));
}

function spki(key: KeyObject): Buffer {
  return key.export({ type: "spki", format: "der" });
}

function keyId(key: KeyObject): Buffer {
  return createHash("sha1").update(spki(key)).digest();
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, ...parts);
}

function integer(value: Buffer): Buffer {
  return tagged(0x02, value);
}

function octets(value: Buffer): Buffer {
  return tagged(0x04, value);
}

function bits(value: Buffer): Buffer {
  return tagged(0x03, Buffer.of(0), value);
}

function tagged(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...head), content]);
}
