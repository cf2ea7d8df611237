/**
 * What a variable holds: `[role.](pooled|direct)[.form][?option=value&...]`, for short
 * `[role.](user|password|database|port)` where pooled and direct do not differ, or `text:...` for
 * what is no secret and the same on every branch.
 *
 * Options: `sslmode`, `channel_binding` (on, off), `sni_workaround` (on, off), `connect_timeout`
 * (seconds, off), `application_name` (off), `replica` (name or id of a read-only compute, which is
 * never taken otherwise), and any further connection parameter. Values are percent-decoded.
 */
import { checkParameter, type Via } from "./connection-strings.ts";
import { SyncError } from "./errors.ts";
import { FORMS, type Form, renderForm } from "./forms.ts";
import type { ConnectionOptions, LoginMaterial } from "./model.ts";
import { Secret } from "./secret.ts";
import { didYouMean } from "./suggest.ts";

export interface LoginExpression {
  readonly kind: "login";
  readonly text: string;
  /** Key of the rule's `roles`. */
  readonly alias: string;
  readonly via: Via;
  readonly form: Form;
  /** What the expression changes about the rule's connection. */
  readonly options: Partial<ConnectionOptions>;
  /** The read-only compute to use instead of the read-write one; null: none. */
  readonly replica: string | null;
}

export interface TextExpression {
  readonly kind: "text";
  readonly text: string;
  readonly value: string;
}

export type VariableExpression = LoginExpression | TextExpression;

/** The alias that `role: x` gives and that an expression may leave out. */
export const DEFAULT_ALIAS = "default";

/** Far beyond any that means something; options are read one on top of the other. */
const LONGEST = 4096;

/** Throws `invalid_target` with the position of what cannot be read and the likeliest correction. */
export function parseVariable(text: string): VariableExpression {
  // Somebody pasted a connection string: say so, and do not repeat it.
  if (text.includes("://"))
    throw new SyncError("invalid_target", "a connection string stands where an expression is expected", {
      next: "Write for example app.pooled: the value is derived; if the string is a real one, change its password.",
    });
  if (text.length > LONGEST && !text.startsWith("text:"))
    throw new SyncError("invalid_target", `an expression is longer than ${LONGEST} characters`);
  if (text.startsWith("text:")) return { kind: "text", text, value: text.slice("text:".length) };
  const mark = text.indexOf("?");
  const path = mark === -1 ? text : text.slice(0, mark);
  const head = parsePath(text, path);
  const { replica, options } = mark === -1 ? NO_OPTIONS : parseOptions(text, mark + 1);
  if (!head.form.takesOptions && Object.keys(options).length > 0)
    throw refusal(text, mark, `form "${head.form.name}" has no room for options`);
  if (replica !== null && !head.form.viaMatters)
    throw refusal(text, mark, `"${head.form.name}" is the same on every compute`);
  return { kind: "login", text, ...head, options, replica };
}

/** The value for one branch. Throws `invalid_target` if a role alias is missing, or as `renderForm` does. */
export function renderVariable(
  expression: VariableExpression,
  logins: ReadonlyMap<string, LoginMaterial>,
  connection: ConnectionOptions,
): Secret {
  if (expression.kind === "text") return new Secret(expression.value);
  const login = logins.get(expression.alias);
  if (login === undefined)
    throw new SyncError(
      "invalid_target",
      `"${expression.text}" names the role "${expression.alias}", which the rule does not define`,
    );
  const { form, via, replica, options } = expression;
  const there = replica === null ? login : onReplica(login, replica);
  return renderForm(form.name, there, withOptions(connection, options), via);
}

/** The same login on a read-only compute. Throws `source_unready` if the branch has none of this name or id. */
export function onReplica(login: LoginMaterial, replica: string): LoginMaterial {
  const known = login.replicas ?? [];
  const found = known.find(({ name }) => name === replica) ?? known.find(({ id }) => id === replica);
  if (found !== undefined) return { ...login, endpoint: { id: found.id, host: found.host } };
  const hint = didYouMean(
    replica,
    known.map(({ name, id }) => name ?? id),
  );
  throw new SyncError("source_unready", `the branch has no read-only compute "${replica}" that is enabled`, {
    next: `Add it to the branch, or correct the rule. ${hint}`.trim(),
  });
}

/** The read-only computes that a rule's variables name, with the login each. Throws as `parseVariable`. */
export function replicasNamed(
  variables: Readonly<Record<string, string>>,
): readonly { readonly alias: string; readonly replica: string }[] {
  const named = Object.values(variables).flatMap((text) => {
    const expression = parseVariable(text);
    if (expression.kind !== "login" || expression.replica === null) return [];
    return [{ alias: expression.alias, replica: expression.replica }];
  });
  return [...new Map(named.map((one) => [`${one.alias} ${one.replica}`, one])).values()];
}

/** The aliases that a rule's variables (name to expression) need. Throws as `parseVariable`. */
export function loginsOf(variables: Readonly<Record<string, string>>): Set<string> {
  const aliases = new Set<string>();
  for (const text of Object.values(variables)) {
    const expression = parseVariable(text);
    if (expression.kind === "login") aliases.add(expression.alias);
  }
  return aliases;
}

/** Why this cannot be a key of `roles`, in words, or null. */
export function checkAlias(alias: string): string | null {
  if (!/^[a-z][a-z0-9_-]*$/i.test(alias))
    return "an alias is letters, digits, - and _, and starts with a letter";
  return isVia(alias) || FORMS.has(alias) || alias === "preset" || alias === "text"
    ? `"${alias}" has a meaning of its own in expressions`
    : null;
}

/** Further parameters of the expression come on top of those of the rule; the rest replaces. */
export function withOptions(base: ConnectionOptions, changes: Partial<ConnectionOptions>): ConnectionOptions {
  return { ...base, ...changes, parameters: { ...base.parameters, ...changes.parameters } };
}

type Head = Pick<LoginExpression, "alias" | "via" | "form">;

function parsePath(text: string, path: string): Head {
  const words = path.split(".");
  if (words.some((word) => word === "")) {
    const at = path === "" ? 0 : words.slice(0, words.indexOf("")).join(".").length;
    throw refusal(text, at, "a word is missing", "write for example app.pooled or direct.jdbc");
  }
  const via = words.findIndex(isVia);
  if (via > 1 || words.length > 3) throw refusal(text, 0, "too many words", GRAMMAR);
  if (via === -1) return parseShorthand(text, words);
  const alias = via === 1 ? (words[0] ?? DEFAULT_ALIAS) : DEFAULT_ALIAS;
  const name = words[via + 1] ?? "url";
  const form = FORMS.get(name);
  if (form === undefined)
    throw refusal(text, offset(words, via + 1), `there is no form "${name}"`, didYouMean(name, FORMS.keys()));
  if (words.length > via + 2)
    throw refusal(text, offset(words, via + 2), "nothing may follow the form", GRAMMAR);
  return { alias, via: words[via] === "pooled" ? "pooled" : "direct", form };
}

/** `user`, `app.password`: the same pooled or direct, so neither has to be said. */
function parseShorthand(text: string, words: readonly string[]): Head {
  const last = words.at(-1) ?? "";
  const at = offset(words, words.length - 1);
  const form = FORMS.get(last);
  if (words.length <= 2 && form !== undefined && !form.viaMatters)
    return { alias: words.length === 2 ? (words[0] ?? DEFAULT_ALIAS) : DEFAULT_ALIAS, via: "direct", form };
  const misspelt = words.findIndex((word) => didYouMean(word, VIAS) !== "");
  if (misspelt !== -1) {
    const word = words[misspelt] ?? "";
    throw refusal(
      text,
      offset(words, misspelt),
      `"${word}" is neither pooled nor direct`,
      didYouMean(word, VIAS),
    );
  }
  if (form !== undefined) {
    const prefix = words.length > 1 ? `${words[0]}.` : "";
    throw refusal(
      text,
      at,
      `"${last}" differs between pooled and direct`,
      `say ${prefix}pooled.${last} or ${prefix}direct.${last}`,
    );
  }
  throw refusal(
    text,
    at,
    `"${last}" is neither pooled nor direct, nor a part of a login`,
    didYouMean(last, SHORTHANDS) || GRAMMAR,
  );
}

const VIAS = ["pooled", "direct"] as const;
const SHORTHANDS = [...FORMS.values()].filter((form) => !form.viaMatters).map((form) => form.name);
const GRAMMAR = "write [role.](pooled|direct)[.form][?option=value]";

function isVia(word: string): word is Via {
  return word === "pooled" || word === "direct";
}

function offset(words: readonly string[], index: number): number {
  return words.slice(0, index).reduce((sum, word) => sum + word.length + 1, 0);
}

const OPTIONS: Readonly<Record<string, (value: string) => Partial<ConnectionOptions> | string>> = {
  sslmode: (value) =>
    value === "require" || value === "verify-ca" || value === "verify-full"
      ? { sslmode: value }
      : "expected require, verify-ca or verify-full",
  channel_binding: (value) => toggle(value, (on) => ({ channelBinding: on })),
  sni_workaround: (value) => toggle(value, (on) => ({ sniWorkaround: on })),
  connect_timeout: (value) => {
    if (value === "off") return { connectTimeoutSeconds: null };
    return /^[1-9][0-9]{0,4}$/.test(value)
      ? { connectTimeoutSeconds: Number(value) }
      : "expected seconds, or off";
  },
  application_name: (value) => {
    if (value === "off") return { applicationName: null };
    return /^[\x20-\x7e]{1,63}$/.test(value)
      ? { applicationName: value }
      : "expected at most 63 printable ASCII characters, or off";
  },
};

function toggle(
  value: string,
  make: (on: boolean) => Partial<ConnectionOptions>,
): Partial<ConnectionOptions> | string {
  if (value === "on" || value === "require") return make(true);
  return value === "off" || value === "disable" ? make(false) : "expected on or off";
}

interface Options {
  readonly replica: string | null;
  readonly options: Partial<ConnectionOptions>;
}
const NO_OPTIONS: Options = { replica: null, options: {} };

function parseOptions(text: string, start: number): Options {
  let options: Partial<ConnectionOptions> = {};
  let replica: string | null = null;
  const seen = new Set<string>();
  let at = start;
  for (const pair of text.slice(start).split("&")) {
    const equals = pair.indexOf("=");
    if (equals < 1) throw refusal(text, at, "expected option=value");
    const name = decode(text, at, pair.slice(0, equals));
    const value = decode(text, at + equals + 1, pair.slice(equals + 1));
    if (seen.has(name)) throw refusal(text, at, `option "${name}" is given twice`);
    seen.add(name);
    if (name === "replica") {
      if (!/^[\p{L}\p{N}_. -]{1,128}$/u.test(value))
        throw refusal(text, at, "expected a compute's name or id");
      replica = value;
    } else options = { ...options, ...parseOption(text, at, name, value, options) };
    at += pair.length + 1;
  }
  return { replica, options };
}

function parseOption(
  text: string,
  at: number,
  name: string,
  value: string,
  before: Partial<ConnectionOptions>,
): Partial<ConnectionOptions> {
  const known = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
  if (known !== undefined) {
    const result = known(value);
    if (typeof result === "string") throw refusal(text, at, `option "${name}": ${result}`);
    return result;
  }
  // Anything else is a parameter for the client, unless it looks like a typing mistake of ours.
  const meant = didYouMean(name, [...Object.keys(OPTIONS), "replica"]);
  if (meant !== "") throw refusal(text, at, `there is no option "${name}"`, meant);
  const refused = checkParameter(name, value);
  if (refused !== null) throw refusal(text, at, refused);
  return { parameters: { ...before.parameters, [name]: value } };
}

function decode(text: string, at: number, encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    throw refusal(
      text,
      at,
      `a "%" here does not start a percent-encoded character`,
      "write %25 for a percent sign",
    );
  }
}

function refusal(text: string, at: number, why: string, hint = ""): SyncError {
  const where = at === 0 ? "" : ` at character ${at + 1}`;
  return new SyncError("invalid_target", `"${text}"${where}: ${why}`, hint === "" ? {} : { next: hint });
}
