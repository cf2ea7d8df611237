import { readdirSync } from "node:fs";
import { join } from "node:path";

const ROOMS = ["services", "workers", "infra", "test"];

/** Every TypeScript file of the project, relative to its root. */
export function sourceFiles(root: string): string[] {
  const below = (folder: string): string[] =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return below(path);
      return entry.name.endsWith(".ts") ? [path] : [];
    });
  const top = readdirSync(root).filter((name) => name.endsWith(".ts"));
  return [...top, ...ROOMS.flatMap(below)].sort();
}
