import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { parseMasterKey } from "../config.ts";

const KEY = "master.key";
/** What `rekey` is about to make it; after a crash either of the two may be the one in force. */
const NEXT = "master.key.next";

/**
 * The master key of an embedded installation: made once, mode 0600, beside the data that it seals. Two
 * processes that start at once agree on the one that was first.
 */
export function keysMade(folder: string): readonly Uint8Array[] {
  const path = join(folder, KEY);
  if (!existsSync(path)) makeOnce(folder, path, randomBytes(32).toString("base64"));
  return keysBeside(folder);
}

/** Those that are there: none where no embedded installation has made one. */
export function keysBeside(folder: string): readonly Uint8Array[] {
  return [KEY, NEXT].flatMap((name) => {
    const path = join(folder, name);
    if (!existsSync(path)) return [];
    const key = parseMasterKey(readFileSync(path, "utf8"));
    if (key === null) throw new Error(`${path} does not hold a key; put back the one that was there`);
    return [key];
  });
}

/**
 * Puts another key in the place of the one beside the data, around `reseal`, which makes it the one in force. However
 * this ends, the one in force is among `keysBeside`. `opens` tells whether a key is the one in force now.
 */
export async function replaceKeyBeside(
  folder: string,
  key: Uint8Array,
  { opens, reseal }: { opens(key: Uint8Array): Promise<boolean>; reseal(): Promise<void> },
): Promise<void> {
  const [path, next] = [join(folder, KEY), join(folder, NEXT)];
  if (!existsSync(path)) return await reseal();
  const left = existsSync(next) ? parseMasterKey(readFileSync(next, "utf8")) : null;
  // An earlier run that ended in the middle.
  if (left !== null && (await opens(left))) renameSync(next, path);
  else rmSync(next, { force: true });
  makeOnce(folder, next, Buffer.from(key).toString("base64"));
  await reseal();
  renameSync(next, path);
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
