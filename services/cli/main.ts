#!/usr/bin/env node
import { settleEnvironment } from "../config.ts";
import { run } from "./program.ts";

settleEnvironment();
process.exitCode = await run(process.argv.slice(2));
