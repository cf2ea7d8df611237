/** A document on this machine's disk: checked here as far as that is possible, and ready to be sent. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { destinations } from "../destinations/index.ts";
import type { Configuration } from "../file/configuration.ts";
import { folderLibrary, type Library } from "../file/includes.ts";
import { type LoadOptions, loadFile } from "../file/load.ts";
import type { SentFile } from "../file/posted.ts";
import { sourceAdapters } from "../sources/index.ts";
import { CommandError, EXIT, explain } from "./exit.ts";

export const DEFAULT_FILE = "branchline.yaml";

export interface DocumentFile {
  readonly configuration: Configuration;
  /** The main file first, then those that it includes. */
  readonly files: readonly SentFile[];
}

/** Asks nobody and resolves nothing. Throws `ConfigurationError<FileProblem>` with every problem. */
export function readDocument(path: string, rules: Pick<LoadOptions, "withoutVariables"> = {}): DocumentFile {
  const folder = folderLibrary(path);
  const included: SentFile[] = [];
  const library: Library = {
    names: folder.names,
    read: (name) => {
      const text = folder.read(name);
      if (text !== null) included.push({ name, text });
      return text;
    },
  };
  const adapters = { sources: sourceAdapters, destinations: [...destinations.values()] };
  const configuration = loadFile(path, { adapters, refuse: () => null, library, ...rules });
  const main = { name: basename(path), text: readFileSync(path, "utf8") };
  return { configuration, files: [main, ...included] };
}

/** `plan` and `apply` promise one number for every failure. */
export async function orFail<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw new CommandError(EXIT.failed, explain(error).text);
  }
}
