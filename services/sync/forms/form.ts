import type { Login } from "../connection-strings.ts";

/** One way to write a login down: who reads it, and how. */
export interface Form {
  /** As written in an expression: `app.pooled.NAME`. Never renamed. */
  readonly name: string;
  /** Who reads it, as people call it. */
  readonly consumer: string;
  /** What it holds and what the reader has to know, in a sentence or two. */
  readonly about: string;
  /** Holds the password. */
  readonly secret: boolean;
  /** The value for pooled and direct is the same. */
  readonly viaMatters: boolean;
  /** False: the connection's options (sslmode and so on) have no place in it, so none may be given. */
  readonly takesOptions: boolean;
  render(login: Login): string;
}

/** A form that holds the password, differs between pooled and direct, and takes options. */
export function form(
  name: string,
  consumer: string,
  about: string,
  render: (login: Login) => string,
  differs: Partial<Pick<Form, "secret" | "viaMatters" | "takesOptions">> = {},
): Form {
  return { name, consumer, about, secret: true, viaMatters: true, takesOptions: true, render, ...differs };
}
