/**
 * Sealing values for GitHub: libsodium sealed boxes with the public key of the repository, environment or
 * organization. https://docs.github.com/rest/guides/encrypting-secrets-for-the-rest-api
 */
import { z } from "zod";
import type { Secret } from "../sync/secret.ts";

export const publicKey = z.object({
  key_id: z.union([z.string(), z.number()]).transform(String),
  key: z.string(),
});
export type PublicKey = z.output<typeof publicKey>;

/** What a put sends in the place of the value. */
export interface Sealed {
  readonly encrypted_value: string;
  readonly key_id: string;
}

export async function seal(value: Secret, { key, key_id }: PublicKey): Promise<Sealed> {
  // Loaded on first use: it costs some 70 ms, and most processes of a demo never write to GitHub.
  const { default: sodium } = await import("libsodium-wrappers");
  await sodium.ready;
  const box = sodium.crypto_box_seal(value.reveal(), Buffer.from(key, "base64"));
  return { encrypted_value: Buffer.from(box).toString("base64"), key_id };
}

/** Public keys change hardly ever: asked once per process and place, and again when GitHub refuses one. */
export class PublicKeys {
  readonly #known = new Map<string, Promise<PublicKey>>();

  get(place: string, ask: () => Promise<PublicKey>): Promise<PublicKey> {
    const known = this.#known.get(place);
    if (known !== undefined) return known;
    const asked = ask();
    this.#known.set(place, asked);
    asked.catch(() => this.#known.delete(place));
    return asked;
  }

  forget(place: string): void {
    this.#known.delete(place);
  }
}
