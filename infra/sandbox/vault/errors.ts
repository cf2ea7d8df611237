/** Refusals in Vault's shape, `{"errors": [...]}`. No text ever holds a value that was sent. */
export class VaultError extends Error {
  readonly status: number;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    errors: string | readonly string[],
    { warnings = [], headers = {} }: { warnings?: readonly string[]; headers?: Record<string, string> } = {},
  ) {
    super(typeof errors === "string" ? errors : errors.join("; "));
    this.status = status;
    this.errors = typeof errors === "string" ? [errors] : errors;
    this.warnings = warnings;
    this.headers = headers;
  }
}

export const badRequest = (message: string): VaultError => new VaultError(400, message);
export const denied = (): VaultError => new VaultError(403, wrapped("permission denied"));
export const invalidToken = (): VaultError =>
  new VaultError(403, wrapped("permission denied", "invalid token"));
/** Nothing was ever there: no error text at all. */
export const absent = (): VaultError => new VaultError(404, []);
export const noRoute = (path: string): VaultError =>
  new VaultError(404, `no handler for route "${path}". route entry not found.`);
export const unsupportedPath = (): VaultError => new VaultError(404, wrapped("unsupported path"));
export const unsupportedOperation = (): VaultError => new VaultError(405, wrapped("unsupported operation"));

/** Several errors come as one text, with a count: Go's multierror. */
export function wrapped(...messages: string[]): string {
  const count = messages.length === 1 ? "1 error" : `${messages.length} errors`;
  return `${count} occurred:\n\t* ${messages.join("\n\t* ")}\n\n`;
}

const PLAIN: Readonly<Record<number, string>> = {
  403: wrapped("permission denied"),
  412: "required index state not present",
  429: "request path: rate limit quota exceeded",
  500: "internal error",
  501: "Vault is not initialized",
  503: "Vault is sealed",
};

/** For injected faults. */
export const plainError = (status: number): VaultError =>
  new VaultError(status, status === 404 ? [] : (PLAIN[status] ?? `status ${status}`));
