/** Prints the JSON Schema of branchline.yaml, which lies beside this file as branchline.schema.json. */
import { destinations } from "../services/destinations/index.ts";
import { jsonSchema } from "../services/file/json-schema.ts";
import { sourceAdapters } from "../services/sources/index.ts";

export const schema = jsonSchema({ sources: sourceAdapters, destinations: [...destinations.values()] });

if (import.meta.filename === process.argv[1]) process.stdout.write(`${JSON.stringify(schema, null, 2)}\n`);
