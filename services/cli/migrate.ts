import { ConfigurationError, readEnvironment } from "../config.ts";
import { migrate } from "../store/migrate.ts";
import { directUrl } from "./database.ts";

/** For deployments that migrate in a step of their own. An embedded database is migrated by `serve`. */
export async function migrateCommand(): Promise<void> {
  const { databaseUrl } = readEnvironment();
  if (databaseUrl === null) {
    throw new ConfigurationError([
      {
        where: "DATABASE_URL",
        problem: "is not set",
        hint: "Set it to the database to migrate. Without it `serve` starts a database of its own and migrates that.",
      },
    ]);
  }
  await migrate(directUrl(databaseUrl.reveal()));
  process.stdout.write("The database is up to date.\n");
}
