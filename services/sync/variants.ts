/**
 * What may stand where a connection string is wanted: the string itself first, then what differs from it by little,
 * then by more. Whoever holds only a fingerprint of what is there finds out by comparing what it is. Pure.
 */
import { buildUrl, libpqParameters, openLogin, type Parameter, type Via } from "./connection-strings.ts";
import { SyncError } from "./errors.ts";
import { FORMS, type Form } from "./forms.ts";
import type { ConnectionOptions, LoginMaterial } from "./model.ts";
import { Secret } from "./secret.ts";
import {
  DEFAULT_ALIAS,
  type LoginExpression,
  onReplica,
  parseVariable,
  type VariableExpression,
  withOptions,
} from "./variables.ts";
import { EXTRAS, queries, TIMEOUTS } from "./variant-queries.ts";

export interface Variant {
  readonly value: Secret;
  /** What a rule writes for just this value; null: a rule has no words for it. */
  readonly expression: string | null;
  /** In what it differs from what is wanted: `sslmode`, `connection_limit`, `pooling`, `role`; empty: in nothing. */
  readonly differs: readonly string[];
}

type Logins = ReadonlyMap<string, LoginMaterial>;

/**
 * Nearest first, and the same value may come twice. Throws as `renderVariable` if what is wanted cannot be written;
 * a variant that cannot be is left out.
 */
export function* variantsOf(
  wanted: string,
  logins: Logins,
  connection: ConnectionOptions,
): Generator<Variant> {
  const expression = parseVariable(wanted);
  if (expression.kind === "text") {
    yield { value: new Secret(expression.value), expression: wanted, differs: [] };
    return;
  }
  const start = startOf(expression, logins, connection);
  const text = write(start, logins);
  yield { value: new Secret(text), expression: wanted, differs: [] };
  for (const choice of inWords(start, logins)) {
    const found = attempt(() => write(choice, logins));
    if (found === null) continue;
    const words = () => wordsOf(choice, connection);
    yield lazy(found, words, () => differences(start, choice, text, found));
  }
  if (!isUrl(text) || !start.form.takesOptions) return;
  for (const { value, choice } of byHand(start, logins))
    yield lazy(
      value,
      () => null,
      () => differences(start, choice, text, value),
    );
}

/** Of thousands one is what is there: only of that one anybody asks what it is. */
function lazy(text: string, expression: () => string | null, differs: () => readonly string[]): Variant {
  return {
    value: new Secret(text),
    get expression() {
      return expression();
    },
    get differs() {
      return differs();
    },
  };
}

// ---------------------------------------------------------------- what a rule has words for

/** One way to write one of the logins. */
interface Choice {
  readonly alias: string;
  readonly via: Via;
  readonly form: Form;
  readonly replica: string | null;
  readonly options: ConnectionOptions;
}

function startOf(expression: LoginExpression, logins: Logins, connection: ConnectionOptions): Choice {
  const { alias, via, form, replica, options } = expression;
  if (!logins.has(alias))
    throw new SyncError("invalid_target", `"${expression.text}" names a role that the rule does not define`);
  return { alias, via, form, replica, options: withOptions(connection, options) };
}

function write(choice: Choice, logins: Logins): string {
  return choice.form.render(open(choice, logins));
}

function open({ alias, via, replica, options }: Choice, logins: Logins) {
  const login = logins.get(alias);
  if (login === undefined) throw new SyncError("invalid_target", `there is no role "${alias}"`);
  return openLogin(replica === null ? login : onReplica(login, replica), via, options);
}

/** Up to so many options at once: what people write has few. */
const MOST_CHANGES = 3;
const FEW = ["sslmode", "channel_binding"];

/** The wanted form with everything that may be otherwise, then the other forms with little. */
function* inWords(start: Choice, logins: Logins): Generator<Choice> {
  const heads = headsOf(start, logins);
  const own = heads.filter(({ form }) => form === start.form);
  const others = heads.filter(({ form }) => form !== start.form);
  yield* withChanges(own, TURNS, MOST_CHANGES);
  const few = TURNS.filter(({ name }) => FEW.includes(name));
  yield* withChanges(others, few, few.length);
}

function* withChanges(heads: readonly Choice[], turns: readonly Turn[], most: number): Generator<Choice> {
  for (let changes = 0; changes <= most; changes += 1)
    for (const head of heads) {
      if (changes > 0 && !head.form.takesOptions) continue;
      for (const options of changed(head.options, turns, changes)) yield { ...head, options };
    }
}

/** Role, pooled or direct, and form: those that are wanted first. */
function headsOf(start: Choice, logins: Logins): Choice[] {
  const aliases = [start.alias, ...[...logins.keys()].filter((alias) => alias !== start.alias)];
  const forms = [start.form, ...[...FORMS.values()].filter((form) => form !== start.form)];
  const vias: readonly Via[] = start.via === "pooled" ? ["pooled", "direct"] : ["direct", "pooled"];
  return forms.flatMap((form) =>
    aliases.flatMap((alias) =>
      (form.viaMatters ? vias : vias.slice(0, 1)).map((via) => {
        const replica = form.viaMatters ? start.replica : null;
        return { ...start, alias, via, form, replica };
      }),
    ),
  );
}

/** One option and what else it may be. */
interface Turn {
  readonly name: string;
  readonly others: (options: ConnectionOptions) => readonly ConnectionOptions[];
}

const field = <K extends keyof ConnectionOptions>(
  name: string,
  key: K,
  values: readonly ConnectionOptions[K][],
): Turn => ({
  name,
  others: (options) =>
    values.filter((value) => value !== options[key]).map((value) => ({ ...options, [key]: value })),
});

/** A further parameter can be added or have another value; what the rule's connection adds to all cannot go. */
const parameter = (name: string, values: readonly string[]): Turn => ({
  name,
  others: (options) =>
    values
      .filter((value) => value !== options.parameters[name])
      .map((value) => ({ ...options, parameters: { ...options.parameters, [name]: value } })),
});

const TURNS: readonly Turn[] = [
  field("sslmode", "sslmode", ["require", "verify-full", "verify-ca"]),
  field("channel_binding", "channelBinding", [true, false]),
  field("connect_timeout", "connectTimeoutSeconds", [null, ...TIMEOUTS]),
  ...Object.entries(EXTRAS).map(([name, values]) => parameter(name, values)),
  field("sni_workaround", "sniWorkaround", [true, false]),
];

/** Every choice of just so many options that are otherwise. */
function* changed(
  options: ConnectionOptions,
  turns: readonly Turn[],
  changes: number,
): Generator<ConnectionOptions> {
  if (changes === 0) {
    yield options;
    return;
  }
  for (const [index, turn] of turns.entries())
    for (const other of turn.others(options)) yield* changed(other, turns.slice(index + 1), changes - 1);
}

/** The expression that gives this choice under the rule's connection. */
function wordsOf({ alias, via, form, replica, options }: Choice, connection: ConnectionOptions): string {
  const named = form.name === "url" ? [via] : form.viaMatters ? [via, form.name] : [form.name];
  const path = [...(alias === DEFAULT_ALIAS ? [] : [alias]), ...named].join(".");
  const query: Parameter[] = [
    ...(form.takesOptions ? optionWords(options, connection) : []),
    ...(replica === null ? [] : [["replica", replica] as const]),
  ];
  const text = query.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  return text.length === 0 ? path : `${path}?${text.join("&")}`;
}

function optionWords(options: ConnectionOptions, connection: ConnectionOptions): Parameter[] {
  const toggle = (on: boolean) => (on ? "on" : "off");
  const all: readonly (readonly [name: string, value: string, usual: string | undefined])[] = [
    ["sslmode", options.sslmode, connection.sslmode],
    ["channel_binding", toggle(options.channelBinding), toggle(connection.channelBinding)],
    ["sni_workaround", toggle(options.sniWorkaround), toggle(connection.sniWorkaround)],
    [
      "connect_timeout",
      String(options.connectTimeoutSeconds ?? "off"),
      String(connection.connectTimeoutSeconds ?? "off"),
    ],
    ["application_name", options.applicationName ?? "off", connection.applicationName ?? "off"],
    ...Object.entries(options.parameters).map(
      ([name, value]) => [name, value, connection.parameters[name]] as const,
    ),
  ];
  return all.flatMap(([name, value, usual]) => (value === usual ? [] : [[name, value] as const]));
}

// ---------------------------------------------------------------- what people write by hand

const SCHEMES = ["postgresql", "postgres"] as const;

interface ByHand {
  readonly value: string;
  readonly choice: Choice;
}

/** URLs of the wanted role with other schemes, modes and orders of parameters. */
function* byHand(start: Choice, logins: Logins): Generator<ByHand> {
  const vias: readonly Via[] = start.via === "pooled" ? ["pooled", "direct"] : ["direct", "pooled"];
  for (const most of [0, 1, 2])
    for (const via of vias) {
      const choice = { ...start, via };
      const login = open(choice, logins);
      const kept = libpqParameters(login).filter(([name]) => !HANDLED.has(name));
      for (const scheme of SCHEMES)
        for (const parameters of queries(most))
          yield { value: buildUrl(scheme, login, [...parameters, ...kept]), choice };
    }
}

const HANDLED = new Set(["sslmode", "channel_binding", "connect_timeout", ...Object.keys(EXTRAS)]);

// ---------------------------------------------------------------- in what two differ

const isUrl = (text: string): boolean => /^postgres(?:ql)?:\/\//.test(text);

/** Names of what differs. Of two URLs by what stands in them, else by how they were made. */
function differences(wanted: Choice, choice: Choice, a: string, b: string): string[] {
  if (a === b) return [];
  const urls = isUrl(a) && isUrl(b);
  return [
    ...(wanted.alias === choice.alias ? [] : ["role"]),
    ...(wanted.via === choice.via ? [] : ["pooling"]),
    ...(urls
      ? ofUrls(a, b)
      : [...(wanted.form === choice.form ? [] : ["form"]), ...ofOptions(wanted, choice)]),
  ];
}

function ofUrls(a: string, b: string): string[] {
  const [one, two] = [new URL(a), new URL(b)];
  const names = [...new Set([...one.searchParams.keys(), ...two.searchParams.keys()])];
  const otherwise = names.filter((name) => one.searchParams.get(name) !== two.searchParams.get(name));
  const order = otherwise.length === 0 && one.search !== two.search ? ["order"] : [];
  return [...(one.protocol === two.protocol ? [] : ["scheme"]), ...otherwise, ...order];
}

const ofOptions = (wanted: Choice, choice: Choice): string[] =>
  choice.form.takesOptions ? optionWords(choice.options, wanted.options).map(([name]) => name) : [];

function attempt(act: () => string): string | null {
  try {
    return act();
  } catch (thrown) {
    if (thrown instanceof SyncError) return null;
    throw thrown;
  }
}

/** Whether what an expression gives opens anything: a host or a port may stand anywhere by chance. */
export function isTelling(expression: string | null): boolean {
  if (expression === null) return true;
  const parsed: VariableExpression = parseVariable(expression);
  return parsed.kind === "login" && parsed.form.secret;
}
