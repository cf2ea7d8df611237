/** Names of AWS secrets: what a rendered target may say, and what becomes of characters AWS refuses. */
import { createHash } from "node:crypto";

const LONGEST = 512;
const ILLEGAL = /[^A-Za-z0-9/_+=.@-]/g;
/** AWS ends every ARN in a hyphen and six characters, so such a name makes look-ups by part of an ARN ambiguous. */
const LIKE_AN_ARN = /-[A-Za-z0-9]{6}$/;

/**
 * A name that Secrets Manager takes: itself if it is legal, else with `_` for every refused character
 * and a hash of the whole, so that `a#b` and `a:b` stay two secrets. The same text always gives the same
 * name. (CreateSecret `Name`: 1 to 512 of letters, digits and `/_+=.@-`, and not hyphen plus six characters.)
 */
export function legalSecretName(text: string): string {
  const plain = text.replace(ILLEGAL, "_");
  if (plain === text && text.length <= LONGEST && !LIKE_AN_ARN.test(text)) return text;
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 8);
  return `${plain.slice(0, LONGEST - hash.length - 1)}_${hash}`;
}

export interface SecretArn {
  readonly region: string;
  readonly account: string;
  readonly name: string;
}

/** The parts of a whole secret ARN (with its six random characters), or null if it is none. */
export function parseSecretArn(text: string): SecretArn | null {
  const match = /^arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):(\d{12}):secret:(.+)-[A-Za-z0-9]{6}$/.exec(text);
  const [, region, account, name] = match ?? [];
  return region === undefined || account === undefined || name === undefined
    ? null
    : { region, account, name };
}
