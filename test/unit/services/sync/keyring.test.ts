import { expect, test } from "vitest";
import { FINGERPRINT_KEY, Keyring, opens } from "../../../../services/sync/keyring.ts";
import { seal } from "../../../../services/sync/seal.ts";

const OLD = new Uint8Array(32).fill(1);
const NEW = new Uint8Array(32).fill(2);
const PLAIN = Buffer.from("a credential");

test("opens with whichever key it takes, and says what to do if it has none", () => {
  const both = new Keyring([NEW, OLD]);
  for (const key of [OLD, NEW]) {
    expect(Buffer.from(both.unseal("credential", seal(key, "credential", PLAIN)))).toEqual(PLAIN);
  }
  expect(() => Keyring.of(OLD).unseal("credential", seal(NEW, "credential", PLAIN))).toThrow("does not open");
});

test("seals with the key that is in force, whichever is first", () => {
  for (const inForce of [OLD, NEW]) {
    const installation = seal(inForce, FINGERPRINT_KEY, PLAIN);
    const sealed = new Keyring([NEW, OLD]).sealLike(installation, "credential", PLAIN);
    expect([opens(OLD, "credential", sealed), opens(NEW, "credential", sealed)]).toEqual([
      inForce === OLD,
      inForce === NEW,
    ]);
  }
  const elsewhere = seal(NEW, FINGERPRINT_KEY, PLAIN);
  expect(() => Keyring.of(OLD).sealLike(elsewhere, "credential", PLAIN)).toThrow("does not open");
});

test("asks for its keys again when none of them opens, and keeps those that did before", () => {
  let beside: readonly Uint8Array[] = [OLD];
  let asked = 0;
  const keyring = new Keyring([OLD], () => {
    asked += 1;
    return beside;
  });
  const after = seal(NEW, "credential", PLAIN);
  expect(() => keyring.unseal("credential", after)).toThrow("does not open");
  beside = [NEW];
  expect(Buffer.from(keyring.unseal("credential", after))).toEqual(PLAIN);
  expect(Buffer.from(keyring.unseal("credential", seal(OLD, "credential", PLAIN)))).toEqual(PLAIN);
  expect(asked).toBe(2);
});
