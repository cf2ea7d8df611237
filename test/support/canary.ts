/** Secrets that must be found nowhere, in every form in which a careless program would write them. */

/** One secret in one form. */
export interface Needle {
  /** What was found, in words that do not repeat it: "shop_app's password, as base64". */
  readonly what: string;
  readonly bytes: Buffer;
}

/** A place that was searched, and what there is in it. */
export interface Haystack {
  readonly where: string;
  readonly bytes: Buffer;
}

/** Plain, JSON-escaped (twice too), URL-encoded in three dialects, hexadecimal, base64 at each alignment. */
export function needlesOf(what: string, secret: string): Needle[] {
  const json = (text: string): string => JSON.stringify(text).slice(1, -1);
  const bytes = Buffer.from(secret, "utf8");
  const percent = encodeURIComponent(secret);
  const strict = percent.replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const forms: [string, string][] = [
    ["plain", secret],
    ["JSON", json(secret)],
    ["JSON in JSON", json(json(secret))],
    ["URL-encoded", percent],
    ["URL-encoded, strictly", strict],
    ["URL-encoded, lower case", percent.replace(/%../g, (code) => code.toLowerCase())],
    ["form-encoded", new URLSearchParams({ "": secret }).toString().slice(1)],
    ["hexadecimal", bytes.toString("hex")],
    ["HEXADECIMAL", bytes.toString("hex").toUpperCase()],
    ...[0, 1, 2].flatMap((offset): [string, string][] => {
      const base64 = base64At(bytes, offset);
      return [
        [`base64 after ${offset}`, base64],
        [`base64url after ${offset}`, base64.replaceAll("+", "-").replaceAll("/", "_")],
      ];
    }),
  ];
  const seen = new Set<string>();
  return forms.flatMap(([form, text]) => {
    if (seen.has(text)) return [];
    seen.add(text);
    return [{ what: `${what}, ${form}`, bytes: Buffer.from(text, "utf8") }];
  });
}

/** "shop_app's password, base64 after 1: in base/16384/1259". */
export function search(haystacks: Iterable<Haystack>, needles: readonly Needle[]): string[] {
  const found: string[] = [];
  for (const { where, bytes } of haystacks) {
    for (const needle of needles) {
      if (bytes.includes(needle.bytes)) found.push(`${needle.what}: in ${where}`);
    }
  }
  return found;
}

/** Of the base64 of anything that has `bytes` after `offset` others (modulo 3): the characters that depend on `bytes` alone. */
function base64At(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
  const first = Math.ceil((offset * 8) / 6);
  const end = Math.floor(((offset + bytes.length) * 8) / 6);
  return text.slice(first, end);
}
