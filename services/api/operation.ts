/**
 * What can be asked of the API, as data: path, scope, shapes, problems. The router serves it, the document
 * describes it and the client calls it from this one declaration, so the three cannot disagree.
 */
import { z } from "zod";
import type { Scope } from "./ports.ts";
import type { ProblemCode } from "./problems.ts";

export const METHODS = ["get", "post", "patch", "delete"] as const;
export type Method = (typeof METHODS)[number];

export interface Operation<
  Params extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
  Body extends z.ZodType = z.ZodType,
  Answer extends z.ZodType = z.ZodType,
> {
  /** Stable: clients generate names from it. */
  readonly id: string;
  readonly method: Method;
  /** With parameters in braces: `/v1/bindings/{id}`. */
  readonly path: `/${string}`;
  /** What the caller's token must be good for; null: no token is asked for. */
  readonly scope: Scope | null;
  /** Only for tokens without limits, since what it shows or does cannot be confined. */
  readonly whole: boolean;
  readonly summary: string;
  readonly description: string;
  /** What a path names, in words, for the 404 of a path that cannot be right: "binding". */
  readonly noun: string;
  readonly params: Params;
  /** A strict object, so that a typing error is not taken for silence. */
  readonly query: Query;
  /** JSON; nothing at all is taken for `{}`. Of no meaning for GET and DELETE. */
  readonly body: Body;
  /** The largest body that is read; left out: what is enough for most. */
  readonly bodyBytes?: number;
  /** The answer. What is not in here does not leave, whatever the handler gave. */
  readonly answer: Answer;
  readonly status: 200 | 201;
  /** Further good answers of the same shape, each with what it means. */
  readonly also: Readonly<Record<number, string>>;
  /** Media types that the answer may come in. */
  readonly media: readonly string[];
  /** Beside those that every operation of its kind may end in. */
  readonly problems: readonly ProblemCode[];
  /** The answer holds a secret: it is shown once and kept nowhere, also not for a repeat. */
  readonly secret: boolean;
  /** The version of an answer, for `ETag`; null: it has none. */
  readonly version: ((answer: z.output<Answer>) => string) | null;
}

/** For operations that take nothing of the kind. */
export const nothing = z.strictObject({});

type Optional =
  | "params"
  | "query"
  | "body"
  | "description"
  | "noun"
  | "status"
  | "also"
  | "media"
  | "problems";
type Spec<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, A extends z.ZodType> = Omit<
  Operation<P, Q, B, A>,
  Optional | "whole" | "secret" | "version"
> &
  Partial<Operation<P, Q, B, A>>;

/** Declares an operation; what is left out is as it usually is. */
export function operation<
  A extends z.ZodType,
  P extends z.ZodType = typeof nothing,
  Q extends z.ZodType = typeof nothing,
  B extends z.ZodType = typeof nothing,
>(spec: Spec<P, Q, B, A>): Operation<P, Q, B, A> {
  const usual = {
    whole: false,
    description: "",
    noun: "such thing",
    status: 200,
    also: {},
    media: ["application/json"],
    problems: [],
    secret: false,
    version: null,
  } as const;
  // The defaults of the three shapes are those of their type parameters.
  const shapes = { params: nothing, query: nothing, body: nothing } as unknown as Pick<
    Operation<P, Q, B, A>,
    "params" | "query" | "body"
  >;
  return { ...usual, ...shapes, ...spec };
}

/** Whether it changes something: then it may come with an `Idempotency-Key`. */
export const mutates = ({ method }: Pick<Operation, "method">): boolean => method !== "get";

/** Whether a body is read. */
export const hasBody = ({ method }: Pick<Operation, "method">): boolean =>
  method === "post" || method === "patch";

/**
 * A word in a query or a path. Never empty, so that a lost variable does not mean "all"; and without control
 * characters, which Postgres would refuse.
 */
export const word = z
  .string()
  .max(255)
  .regex(/^\P{Cc}+$/u);

/** `{id}` of what has a UUID. */
export const byId = z.strictObject({ id: z.uuid() });
/** `{id}` of what may be called by its name as well. */
export const byName = z.strictObject({ id: word.meta({ description: "Id or name." }) });

/** When something was or will be: UTC, with milliseconds. */
export const time = z.iso.datetime();
