/** The API's description for machines, and as one plain page without scripts. */
import { z } from "zod";
import type { App } from "../appType.ts";

const operationSchema = z.looseObject({
  summary: z.string().default(""),
  description: z.string().default(""),
  requestBody: z
    .looseObject({ content: z.record(z.string(), z.looseObject({ schema: z.unknown() })) })
    .optional(),
  responses: z.record(z.string(), z.looseObject({ description: z.string().default("") })),
});
const documentSchema = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), operationSchema)),
});
type Operation = z.infer<typeof operationSchema>;

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? c);

function section(
  path: string,
  method: string,
  { summary, description, requestBody, responses }: Operation,
): string {
  const bodies = Object.entries(requestBody?.content ?? {}).map(
    ([type, { schema }]) =>
      `<details><summary>Body: ${escapeHtml(type)}</summary><pre>${escapeHtml(JSON.stringify(schema, null, 2))}</pre></details>`,
  );
  const answers = Object.entries(responses).map(
    ([status, answer]) => `<tr><th>${escapeHtml(status)}</th><td>${escapeHtml(answer.description)}</td></tr>`,
  );
  return `<section><h2><b>${method.toUpperCase()}</b> <code>${escapeHtml(path)}</code></h2>
<p>${escapeHtml(summary)}. ${escapeHtml(description)}</p>${bodies.join("")}<table>${answers.join("")}</table></section>`;
}

const style = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:56rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin:2rem 0 .3rem}h2 b{font-size:.75rem;letter-spacing:.06em;opacity:.7}
p{margin:.2rem 0}pre{overflow:auto;padding:.8rem;border:1px solid #8885;border-radius:6px;font-size:.8rem}
table{border-collapse:collapse;margin:.4rem 0;font-size:.9rem}th,td{text-align:left;padding:.1rem .8rem .1rem 0;font-weight:400}
th{opacity:.7}summary{cursor:pointer}`;

/** The page; its style is a file of its own, so that no inline style is needed. */
export function addDocs(app: App, version: string): void {
  const document = once(() =>
    app.getOpenAPI31Document({
      openapi: "3.1.0",
      info: { title: "nextx", version, description: "Autoregressive generation beyond the next token." },
    }),
  );
  const json = once(() => JSON.stringify(document()));
  const page = once(() => pageOf(version, documentSchema.parse(JSON.parse(json()))));
  app.get("/openapi.json", (c) => c.body(json(), 200, { "Content-Type": "application/json" }));
  app.get("/docs.css", (c) => c.body(style, 200, { "Content-Type": "text/css" }));
  app.get("/docs", (c) => c.html(page()));
}

/** Made when it is first asked for: routes are all there then, and making it takes too long to do it again. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function pageOf(version: string, { paths }: z.infer<typeof documentSchema>): string {
  const sections = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => section(path, method, operation)),
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>nextx: HTTP API</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs.css"></head>
<body><h1>nextx ${escapeHtml(version)}: HTTP API</h1><p>For machines: <a href="/openapi.json">openapi.json</a>. <a href="/">Studio</a>.</p>
${sections.join("\n")}</body></html>`;
}
