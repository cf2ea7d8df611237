/** docs/connection-strings.md, written from the forms and presets themselves. */
import { FORMS, type Form, renderForm } from "../../services/sync/forms.ts";
import { DEFAULT_CONNECTION, type LoginMaterial } from "../../services/sync/model.ts";
import { PRESETS } from "../../services/sync/presets.ts";
import { Secret } from "../../services/sync/secret.ts";

/** A password with all that has to be encoded somewhere. */
const SAMPLE: LoginMaterial = {
  role: "app",
  database: "shop",
  password: new Secret("p@ss/w%rd:é"),
  endpoint: { id: "ep-soft-violet-a1b2c3d4", host: "ep-soft-violet-a1b2c3d4.c-2.eu-central-1.aws.neon.tech" },
  port: 5432,
};

/** Which of the two an application of this kind wants: the reasons are in the presets. */
const DIRECT = new Set(["jdbc", "jdbc-bare", "npgsql", "aws-rds-json", "elixir", "psql", "libpq"]);

export function connectionStringsPage(): string {
  return [HEAD, table(), OPTIONS, presets(), FOOT].join("\n");
}

function expressionOf(form: Form): string {
  if (!form.viaMatters) return form.name;
  return `${DIRECT.has(form.name) ? "direct" : "pooled"}${form.name === "url" ? "" : `.${form.name}`}`;
}

function table(): string {
  const rows = [...FORMS.values()].map((form) => {
    const via = DIRECT.has(form.name) ? "direct" : "pooled";
    const example = renderForm(form.name, SAMPLE, DEFAULT_CONNECTION, via).reveal();
    const shown = example
      .split("\n")
      .map((line) => `\`${line}\``)
      .join("<br>");
    return `| ${form.consumer} | \`${expressionOf(form)}\` | ${shown} | ${form.about} |`;
  });
  return ["| Consumer | Write | Example | To know |", "| --- | --- | --- | --- |", ...rows, ""].join("\n");
}

function presets(): string {
  const parts = [...PRESETS.values()].map(({ name, about, caution, entries }) => {
    const rows = entries.map((entry) => `| \`${entry.name}\` | \`${entry.expression}\` | ${entry.reason} |`);
    const note = caution === null ? [] : [`Note: ${caution}`, ""];
    const lines = ["| Variable | Expression | Because |", "| --- | --- | --- |", ...rows, ""];
    return [`### \`${name}\``, "", about, "", ...note, ...lines].join("\n");
  });
  return [PRESETS_HEAD, ...parts].join("\n");
}

const HEAD = `# Connection strings

<!-- Written by a test from the code itself. Do not edit: UPDATE_DOCS=1 npx vitest run test/unit/docs -->

What a rule's variable holds is an expression: \`[role.](pooled|direct)[.form][?option=value]\`. The role is a key of the
rule's \`roles\`; with a single \`role\` it is left out. A part that is the same for pooled and direct needs neither word:
\`user\`, \`app.password\`. \`text:...\` is a fixed text, \`preset: NAME\` a whole set.

\`pooled\` goes through Neon's PgBouncer in transaction mode: right for many short connections, wrong for whatever needs a
session (migrations, \`SET\`, \`LISTEN\`, advisory locks, \`pg_dump\`). \`direct\` is the compute itself. Both hosts are derived
from the endpoint's own host, never from a region.

The examples below are of the role \`app\` with the password \`p@ss/w%rd:é\`, which has something to encode for everybody.
\`branchline connection SOURCE/BRANCH --form NAME\` prints any of them for a branch of yours.

## Forms
`;

const OPTIONS = `## Options

Behind the form, as in a URL: \`app.pooled.url?connect_timeout=15&application_name=web\`. The rule's \`connection\` sets the
same for all its variables.

| Option | Values | Meaning |
| --- | --- | --- |
| \`sslmode\` | \`require\` (default), \`verify-ca\`, \`verify-full\` | In the consumer's own word for it. |
| \`channel_binding\` | \`on\` (default), \`off\` | Left out by itself where the client would refuse it. |
| \`sni_workaround\` | \`on\`, \`off\` (default) | Adds \`options=endpoint%3D...\`, which agrees with the host, for clients without SNI. |
| \`connect_timeout\` | seconds, \`off\` | How long the client waits for a compute that sleeps. |
| \`application_name\` | text, \`off\` | Shown by Postgres. |
| \`replica\` | name or id of a read-only compute | That compute instead of the read-write one. Never taken unless it is named. |
| anything else | text | Handed to the client as it is. What would change where or as whom the login happens is refused. |
`;

const PRESETS_HEAD = `## Presets

\`variables: { preset: NAME }\` in a rule, \`branchline env SOURCE/BRANCH --preset NAME\` for yourself. \`branchline presets\`
prints this list.
`;

const FOOT = `## When a string does not work

\`branchline doctor SOURCE/BRANCH\` logs in over both hosts, \`branchline doctor -\` with a URL from standard input. It says
the likely cause, what it saw, and what to do; never the password. Exit codes are in \`branchline doctor --help\`.
`;
