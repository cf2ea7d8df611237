/** Refusals in Neon's shape: `{request_id, code, message}`; the code is usually empty. */
export class NeonError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, message: string, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const MESSAGES: Readonly<Record<number, string>> = {
  401: "supplied credentials do not pass authentication",
  404: "this route does not exist, check our API documentation",
  423: "project already has running conflicting operations, scheduling of new ones is prohibited",
  429: "too many requests",
  500: "internal error",
  503: "service unavailable",
};

/** Neon's words for a status that has nothing to do with the request's content. */
export const plainError = (status: number): NeonError =>
  new NeonError(status, MESSAGES[status] ?? `request failed with status ${status}`);
