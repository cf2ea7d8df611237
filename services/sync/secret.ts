import { inspect } from "node:util";

/**
 * A value that must never come to rest: a password, a token, a connection string.
 *
 * However it is printed, interpolated, logged or serialised, it shows `[secret]`. Only
 * `reveal()` gives the value, and `test/tidy.test.ts` lists the few folders that may call it.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  /** Length in UTF-8 bytes, so that limits can be checked without revealing anything. */
  get bytes(): number {
    return Buffer.byteLength(this.#value, "utf8");
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [inspect.custom](): string {
    return "[secret]";
  }
}
