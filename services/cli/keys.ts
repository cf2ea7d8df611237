import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseMasterKey } from "../config.ts";

/**
 * The master key of an embedded installation: made once, mode 0600, beside the data that it seals. Two
 * processes that start at once agree on the one that was first.
 */
export function keyBeside(folder: string): Uint8Array {
  const path = join(folder, "master.key");
  if (!existsSync(path)) makeOnce(folder, path, randomBytes(32).toString("base64"));
  const key = parseMasterKey(readFileSync(path, "utf8"));
  if (key === null) throw new Error(`${path} does not hold a key; put back the one that was there`);
  return key;
}

/** Whole or not at all, and never over what another process has just made. */
function makeOnce(folder: string, path: string, text: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  writeFileSync(draft, `${text}\n`, { mode: 0o600, flag: "wx" });
  try {
    chmodSync(draft, 0o600);
    linkSync(draft, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}
