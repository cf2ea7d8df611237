import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: "./services/store/*.ts",
  out: "./infra/migrations",
  schemaFilter: ["branchline"],
});
