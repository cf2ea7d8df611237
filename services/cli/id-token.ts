/** A job of GitHub Actions proves who it is by a token that GitHub signs for it: nothing has to be stored. */
import { z } from "zod";
import type { IdTokenRequest } from "../config.ts";
import { createIo, decodeJson } from "../http.ts";
import { Secret } from "../sync/secret.ts";
import { CommandError, EXIT } from "./exit.ts";

const answer = z.object({ value: z.string().min(1) });
const DEADLINE_MS = 10_000;

/**
 * Asks GitHub for a token with this audience. Throws `CommandError`. The job needs `permissions: id-token: write`.
 * https://docs.github.com/en/actions/reference/security/oidc
 */
export async function requestIdToken({ url, token, audience }: IdTokenRequest): Promise<Secret> {
  const { signal } = new AbortController();
  const io = createIo({ fingerprint: () => "", signal, privateNetwork: true, timeoutMs: DEADLINE_MS });
  const where = { vendor: "github", operation: "GET id-token" };
  const asked = new URL(url);
  asked.searchParams.set("audience", audience);
  const response = await io
    .fetch({
      ...where,
      method: "GET",
      url: asked.href,
      headers: { accept: "application/json", authorization: `Bearer ${token.reveal()}` },
    })
    .catch(() => {
      throw refused("did not answer");
    });
  if (response.status !== 200) throw refused(`answered ${response.status}`);
  return new Secret(decodeJson(response, answer, where).value);
}

const refused = (what: string): CommandError =>
  new CommandError(
    EXIT.denied,
    `GitHub ${what} when asked for this job's token\n  The job needs permissions: id-token: write.`,
  );
