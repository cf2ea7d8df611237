/** What a person tells a binding: `POST /v1/bindings/:id/{push,adopt,release,suspend,resume}`. */
import { type Context, Hono } from "hono";
import { z } from "zod";
import { scoped } from "./auth.ts";
import { bindingItem } from "./bindings.ts";
import { createBodyReader } from "./body.ts";
import { callerOf } from "./connection.ts";
import type { ApiEnv, Order, Tell } from "./ports.ts";
import { ApiProblem } from "./problems.ts";

const LIMITS = { bytes: 64 * 1024, timeoutMs: 10_000 } as const;

const nothing = z.strictObject({});
const adoption = z.strictObject({
  /** As the rule spells them; left out: all of the rule's variables. */
  names: z.array(z.string().min(1).max(512)).min(1).max(1_000).optional(),
  expect: z.enum(["same", "replace-unreadable"]).default("same"),
});

export const told = z.object({
  binding: bindingItem,
  /** The names that the command was about. */
  names: z.array(z.string()).readonly(),
  /** What else there is to know, above all what cannot be undone; null: nothing. */
  note: z.string().nullable(),
});

const PLAIN = ["push", "release", "suspend", "resume"] as const;

/** All need the scope write. What follows from them happens soon after, and shows in the binding's state. */
export function commands(tell: Tell): Hono<ApiEnv> {
  const read = bodyReader();
  const obey = async (c: Context<ApiEnv>, order: Order): Promise<Response> => {
    const id = z.uuid().safeParse(c.req.param("id"));
    const done = id.success ? await tell(id.data, order, callerOf(c)) : null;
    if (done === null) throw new ApiProblem("not_found", "There is no binding with this id.");
    return c.json(told.parse(done));
  };
  const app = new Hono<ApiEnv>().post("/:id/adopt", scoped("write"), async (c) => {
    const { names = null, expect } = await read(c, adoption);
    return await obey(c, { command: "adopt", names, expect });
  });
  for (const command of PLAIN) {
    app.post(`/:id/${command}`, scoped("write"), async (c) => {
      await read(c, nothing);
      return await obey(c, { command });
    });
  }
  return app;
}

/** JSON, or nothing at all, which is taken for `{}`. */
function bodyReader() {
  const withBody = createBodyReader();
  return async <T>(c: Context<ApiEnv>, shape: z.ZodType<T>): Promise<T> => {
    const text = await withBody(c, LIMITS, async (body) => new TextDecoder().decode(body));
    const parsed = shape.safeParse(jsonOf(text));
    if (parsed.success) return parsed.data;
    const parameters = parsed.error.issues.flatMap((issue) =>
      issue.code === "unrecognized_keys"
        ? issue.keys.map((parameter) => ({ parameter, problem: "is not known here" }))
        : [
            {
              parameter: issue.path.join("."),
              problem: "is missing or has a value that is not possible here",
            },
          ],
    );
    throw new ApiProblem("invalid_request", "The body is not what is expected here.", {
      members: { parameters },
    });
  };
}

function jsonOf(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiProblem("malformed", "The body is not JSON.");
  }
}
