/**
 * Derivations of connection strings per second, as a ratio to the cheapest thing that could be called one: gluing
 * the parts together in a template literal, in the same run. The ratio means the same on any machine.
 */
import { FORMS } from "../../services/sync/forms.ts";
import { DEFAULT_CONNECTION, type LoginMaterial } from "../../services/sync/model.ts";
import { Secret } from "../../services/sync/secret.ts";
import { parseVariable, renderVariable } from "../../services/sync/variables.ts";
import { percentile, type Result, rounded } from "./result.ts";

/** A usual login, and one that has to be encoded everywhere. */
const PASSWORDS = { plain: "npg_a1B2c3D4e5F6", awkward: "p@ss:w/o%r%41d #1?&='ü" };
/** Long enough for the clock, short enough to take the best of many. */
const SLICE_MS = 20;
const SLICES = 15;
/** Encoding, checking what PostgreSQL cannot take, and putting the result away as a Secret: about 35 when written. */
const BAR = 60;

export async function run(): Promise<Result[]> {
  const glued = perSecond((n) => glue(PASSWORDS.plain, n));
  return [
    ...Object.entries(PASSWORDS).map(([name, password]) => {
      const login = loginWith(password);
      const expression = parseVariable("pooled");
      const derived = perSecond(() => {
        const logins = new Map([["default", login]]);
        return renderVariable(expression, logins, DEFAULT_CONNECTION).bytes;
      });
      return result(`strings.url.${name}`, derived, glued, BAR);
    }),
    result("strings.all-forms", perSecond(everyForm(loginWith(PASSWORDS.plain))) * FORMS.size, glued, null),
    result("strings.parse-and-derive", perSecond(parseAndDerive(loginWith(PASSWORDS.plain))), glued, null),
  ];
}

function result(name: string, derived: number, glued: number, bar: number | null): Result {
  const value = rounded(glued / derived);
  return {
    name,
    value,
    unit: "times a bare concatenation, per string",
    bar,
    ok: bar === null || value <= bar,
    detail: { perSecond: Math.round(derived), bareConcatenationsPerSecond: Math.round(glued) },
  };
}

const HOST = "ep-soft-violet-a1b2c3d4-pooler.c-2.eu-central-1.aws.neon.tech";

/** What somebody would write who does not think of encoding. Reads its length, so that it is really made. */
function glue(password: string, n: number): number {
  const text = `postgresql://app${n}:${password}@${HOST}/shop?sslmode=require&channel_binding=require`;
  return Buffer.byteLength(text);
}

function loginWith(password: string): LoginMaterial {
  const host = HOST.replace("-pooler", "");
  const endpoint = { id: host.split(".")[0] ?? "", host };
  return { role: "app", database: "shop", password: new Secret(password), endpoint, port: 5432 };
}

function everyForm(login: LoginMaterial): () => number {
  const logins = new Map([["default", login]]);
  const expressions = [...FORMS.keys()].map((form) => parseVariable(`pooled.${form}`));
  return () =>
    expressions.reduce((sum, one) => sum + renderVariable(one, logins, DEFAULT_CONNECTION).bytes, 0);
}

/** As a push does it: from the rule's text. */
function parseAndDerive(login: LoginMaterial): () => number {
  const logins = new Map([["app", login]]);
  return () => {
    const expression = parseVariable("app.pooled.url?connect_timeout=15&application_name=web");
    return renderVariable(expression, logins, DEFAULT_CONNECTION).bytes;
  };
}

/** The upper quartile of many short slices: what others do on the machine only ever slows one down. */
function perSecond(work: (n: number) => number): number {
  const slices = Array.from({ length: SLICES }, () => slice(work));
  return percentile(slices, 0.75);
}

function slice(work: (n: number) => number): number {
  const started = performance.now();
  let done = 0;
  let sum = 0;
  let elapsed = 0;
  while (elapsed < SLICE_MS) {
    for (let n = 0; n < 100; n++) sum += work(n);
    done += 100;
    elapsed = performance.now() - started;
  }
  if (sum === 0) throw new Error("nothing was made");
  return (done / elapsed) * 1000;
}
