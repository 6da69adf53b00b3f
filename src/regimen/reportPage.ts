/** The page around every report: self-contained, nothing is loaded and no script runs. */
import { escapeHtml } from "./runReportChart.ts";
import { reportStyle } from "./runReportStyle.ts";

/** One HTML document; `body` and `style` are trusted text, the title is not. */
export function renderPage(title: string, body: readonly string[], style = ""): string {
  const policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="generator" content="nextx">',
    `<title>${escapeHtml(title)}</title><style>${reportStyle}${style}</style></head><body><main>`,
    body.join("\n"),
    "</main></body></html>\n",
  ].join("\n");
}
