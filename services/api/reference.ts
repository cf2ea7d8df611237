/** The reference page: an OpenAPI document as one plain HTML page. Pure. */
import { PROBLEMS, type ProblemCode, problemType } from "./problems.ts";

/** As much of an OpenAPI document as the page shows. */
export interface Page {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, PageOperation>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, PageSchema>> };
}

interface PageOperation {
  readonly operationId: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly "x-scope"?: string;
  readonly "x-whole"?: boolean;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema?: PageSchema;
  }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

type Content = Readonly<Record<string, { readonly schema?: PageSchema }>>;

interface PageSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly items?: PageSchema;
  readonly properties?: Readonly<Record<string, PageSchema>>;
  readonly required?: readonly string[];
  readonly description?: string;
}

export const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
code, pre { font: 0.9em/1.4 ui-monospace, monospace; }
h3 { margin: 2.5rem 0 0; } h3 + p { margin-top: 0.2rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: 0.3rem 0.8rem 0.3rem 0; border-bottom: 1px solid #8884; }
.method { display: inline-block; min-width: 4rem; } .scope { opacity: 0.7; }
nav ul { columns: 3 14rem; padding: 0; list-style: none; }
`;

export function renderReference(page: Page): string {
  const operations = Object.entries(page.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const tags = [...new Set(operations.map(({ operation }) => operation.tags?.[0] ?? ""))].sort();
  const of = (tag: string) => operations.filter(({ operation }) => (operation.tags?.[0] ?? "") === tag);
  const { title, version, description = "" } = page.info;
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${text(title)} API</title><style>${STYLE}</style></head>
<body>
<h1>${text(title)} API ${text(version)}</h1>
<p>${prose(description)} The document that this page is made from: <a href="openapi.json">openapi.json</a>.</p>
<nav><ul>${tags.map((tag) => `<li><a href="#tag-${text(tag)}">${text(tag)}</a></li>`).join("")}<li><a href="#problems">problems</a></li><li><a href="#schemas">schemas</a></li></ul></nav>
${tags.map((tag) => `<h2 id="tag-${text(tag)}">${text(tag)}</h2>\n${of(tag).map(renderOperation).join("\n")}`).join("\n")}
${renderProblems()}
${renderSchemas(page.components?.schemas ?? {})}
</body></html>
`;
}

function renderOperation(one: { path: string; method: string; operation: PageOperation }): string {
  const { path, method, operation } = one;
  const { operationId, summary = "", description = "", parameters = [], requestBody, responses } = operation;
  const scope = operation["x-scope"];
  const needs = scope === undefined ? "needs no token" : `scope ${scope}`;
  const whole = operation["x-whole"] === true ? ", without limits" : "";
  const rows = parameters.map(({ name, in: where, required, description: about = "", schema }) => [
    code(name),
    `${text(where)}${required === true ? ", required" : ""}`,
    `${typeOf(schema)} ${prose(about)}`,
  ]);
  return `<section id="${text(operationId)}">
<h3><code class="method">${text(method.toUpperCase())}</code> ${code(path)}</h3>
<p>${prose(summary)} <span class="scope">(${text(needs)}${whole})</span></p>
${description === "" ? "" : `<p>${prose(description)}</p>`}
${rows.length === 0 ? "" : table(["parameter", "in", "what"], rows)}
${requestBody === undefined ? "" : `<p>Body: ${contentOf(requestBody.content)}</p>`}
${table(
  ["status", "what", "content"],
  Object.entries(responses).map(([status, { description: about, content = {} }]) => [
    code(status),
    prose(about),
    contentOf(content),
  ]),
)}
</section>`;
}

function renderProblems(): string {
  const codes = Object.keys(PROBLEMS) as ProblemCode[];
  const rows = codes.map((one) => {
    const [status, title, meaning] = PROBLEMS[one];
    return [
      `<code id="problem-${one}">${problemType(one)}</code>`,
      code(String(status)),
      `${text(title)}. ${prose(meaning)}`,
    ];
  });
  return `<h2 id="problems">problems</h2>\n${table(["type", "status", "what to make of it"], rows)}`;
}

function renderSchemas(schemas: Readonly<Record<string, PageSchema>>): string {
  const all = Object.entries(schemas).map(([name, schema]) => {
    const rows = Object.entries(schema.properties ?? {}).map(([member, of]) => [
      code(member),
      typeOf(of),
      prose(of.description ?? ""),
    ]);
    return `<h3 id="schema-${text(name)}">${text(name)}</h3><p>${prose(schema.description ?? "")}</p>${table(["member", "type", "what"], rows)}`;
  });
  return `<h2 id="schemas">schemas</h2>\n${all.join("\n")}`;
}

const contentOf = (content: Content): string =>
  Object.entries(content)
    .map(([media, { schema }]) => `${code(media)} ${typeOf(schema)}`)
    .join("<br>");

function typeOf(schema: PageSchema | undefined): string {
  if (schema === undefined) return "";
  const name = schema.$ref?.split("/").at(-1);
  if (name !== undefined) return `<a href="#schema-${text(name)}">${text(name)}</a>`;
  if (schema.enum !== undefined) return schema.enum.map((one) => code(String(one))).join(" ");
  if (schema.items !== undefined) return `list of ${typeOf(schema.items)}`;
  if (schema.properties !== undefined) {
    const members = Object.entries(schema.properties).map(([member, of]) => {
      const optional = schema.required?.includes(member) === true ? "" : "?";
      return `${code(member + optional)} ${typeOf(of)}`;
    });
    return `{ ${members.join(", ")} }`;
  }
  return text([schema.type ?? ""].flat().join(" or "));
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  `<table><tr>${head.map((cell) => `<th>${text(cell)}</th>`).join("")}</tr>${rows
    .map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join("")}</tr>`)
    .join("")}</table>`;

const code = (raw: string): string => `<code>${text(raw)}</code>`;
/** Text in which backquotes mean code. */
const prose = (raw: string): string => text(raw).replaceAll(/`([^`]+)`/g, "<code>$1</code>");

const text = (raw: string): string =>
  raw.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
