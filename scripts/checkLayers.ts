/**
 * The layer rules, checked on the import statements of src/, studio/, test/ and scripts/: dependencies go down, the
 * axes are siblings, no system imports another, Node-only code stays behind dynamic imports, no cycles.
 * `node scripts/run.js layers` runs it, with `--report` it also prints file sizes. Test code (*.test.ts, testing/,
 * test/) may import anything in src/; shipped code imports no test code.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import ts from "typescript";

/** Folders of src/, lowest first: a file imports its own folder and lower ones. `api` is the files directly in src/. */
const layers: readonly (readonly string[])[] = [
  ["tensor"],
  ["runtime"],
  ["formats"],
  ["data"],
  ["nn"],
  ["codec", "plan", "context", "mixer", "conditioner", "head", "decoding"],
  ["regimen"],
  ["systems"],
  ["evaluate"],
  ["claims"],
  ["api"],
  ["server"],
  ["cli"],
];
/** Siblings: an implementation sees the interfaces (types.ts) of other axes only, regimen's included. */
const axes: ReadonlySet<string> = new Set(layers[5]);
/** What an axis may import besides its own folder and the interfaces of the others. */
const axisMayImport: ReadonlySet<string> = new Set(["tensor", "runtime", "nn"]);
const nodeOnlyPackages = /^(node:|onnxruntime-node$|sharp$)/;
const extensions: Readonly<Record<string, RegExp>> = {
  src: /\.(ts|json)$/,
  studio: /\.(ts|json|svelte|css|svg|png|wasm)(\?[\w&=]+)?$/,
  other: /\.(ts|json|js)$/,
};
const maxLines = 500;

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly rule:
    | "direction"
    | "siblings"
    | "systems"
    | "evaluate"
    | "node-only"
    | "extension"
    | "studio"
    | "test-code"
    | "unknown-folder"
    | "cycle";
  readonly message: string;
}

interface Import {
  readonly specifier: string;
  readonly line: number;
  /** `types` is erased, `dynamic` is import() or new URL(..., import.meta.url). */
  readonly kind: "value" | "types" | "dynamic";
}

/** Where a file stands: its top folder (src, studio, test, ...), its layer inside src, its system. */
interface Place {
  readonly path: string;
  readonly top: string;
  readonly layer: string;
  readonly system: string | undefined;
  readonly isTest: boolean;
  readonly isNode: boolean;
  readonly isInterface: boolean;
}

interface Edge extends Import {
  readonly from: Place;
  /** Undefined for an installed package. */
  readonly to: Place | undefined;
}

/** All violations of a tree given as path (relative, with slashes) to text. */
export function checkTree(files: ReadonlyMap<string, string>): Violation[] {
  const edges = [...files].flatMap(([path, text]) => {
    const from = placeOf(path);
    return importsOf(path, text).map(
      (found): Edge => ({ ...found, from, to: resolve(from, found.specifier) }),
    );
  });
  const unknown = [...files.keys()].flatMap((path) => unknownFolder(placeOf(path)));
  return [...unknown, ...edges.flatMap(checkEdge), ...cycles(edges)].sort(
    (a, b) => a.file.localeCompare(b.file) || a.line - b.line,
  );
}

function placeOf(path: string): Place {
  const parts = path.split("/");
  const name = parts.at(-1) ?? "";
  const [top = "", layer = "", system] = parts;
  const inSrc = top === "src";
  return {
    path,
    top: parts.length === 1 ? "" : top,
    layer: !inSrc ? "" : parts.length === 2 ? "api" : layer,
    system: inSrc && layer === "systems" && parts.length > 3 ? system : undefined,
    isTest: top === "test" || /\.test\.ts$/.test(name) || parts.slice(0, -1).includes("testing"),
    isNode: /\.node\.ts$/.test(name),
    isInterface: name === "types.ts" && parts.length === 3,
  };
}

function resolve(from: Place, specifier: string): Place | undefined {
  const bare = specifier.replace(/\?.*$/, "");
  if (bare.startsWith(".")) return placeOf(posix.normalize(posix.join(posix.dirname(from.path), bare)));
  return bare === "nextx" ? placeOf("src/index.ts") : undefined;
}

function unknownFolder(place: Place): Violation[] {
  if (place.top !== "src" || rankOf(place) >= 0) return [];
  const message = `src/${place.layer}/ has no place in the layers (see scripts/checkLayers.ts)`;
  return [{ file: place.path, line: 1, rule: "unknown-folder", message }];
}

const rankOf = (place: Place): number => layers.findIndex((row) => row.includes(place.layer));

type Finding = readonly [Violation["rule"], string] | undefined;

function checkEdge(edge: Edge): Violation[] {
  const { from, line } = edge;
  const found = [checkExtension(edge), checkStudio(edge), checkNodeOnly(edge), checkDirection(edge)];
  return found.flatMap((one) => (one ? [{ file: from.path, line, rule: one[0], message: one[1] }] : []));
}

function checkExtension({ from, specifier }: Edge): Finding {
  const allowed = extensions[from.top] ?? extensions.other;
  if (!specifier.startsWith(".") || allowed?.test(specifier)) return undefined;
  return ["extension", `"${specifier}" needs its file extension`];
}

/** The studio sees the public API, and of the server what both agree on: limits, and the types of the protocol. */
function checkStudio({ from, to, kind }: Edge): Finding {
  if (from.top !== "studio" || to?.top !== "src") return undefined;
  if (/^src\/index(\.web)?\.ts$/.test(to.path) || to.path === "src/server/limits.ts") return undefined;
  if (/^src\/server\/(p|\w+P)rotocol\.ts$/.test(to.path) && kind === "types") return undefined;
  return [
    "studio",
    `the studio imports the public API of pages and the server's protocol only, not ${to.path}`,
  ];
}

/** A file that a page may load reaches Node-only code by import() only; type imports vanish. */
function checkNodeOnly({ from, to, kind, specifier }: Edge): Finding {
  if (from.top !== "src" || from.isTest || from.isNode || kind !== "value") return undefined;
  if (from.layer === "cli" || from.layer === "server") return undefined;
  if (!to?.isNode && (to || !nodeOnlyPackages.test(specifier))) return undefined;
  const what = to?.path ?? specifier;
  return ["node-only", `${what} is for Node only: import() it, or move this code to a *.node.ts file`];
}

function checkDirection({ from, to }: Edge): Finding {
  if (from.top !== "src" || from.isTest || !to || to.path.endsWith(".json")) return undefined;
  if (to.top !== "src") return ["direction", `src/ does not import ${to.path}`];
  if (to.isTest) return ["test-code", `${to.path} is test code`];
  if (rankOf(from) < 0 || rankOf(to) < 0) return undefined;
  if (axes.has(from.layer)) return checkAxis(from, to);
  if (to.layer === "systems") {
    if (from.layer === "evaluate")
      return ["evaluate", `systems are handed to evaluate as arguments, not imported: ${to.path}`];
    if (from.system !== undefined && from.system !== to.system && !to.isInterface)
      return ["systems", `a system imports no other system and no list of systems: ${to.path}`];
  }
  return rankOf(to) > rankOf(from) ? upward(from, to) : undefined;
}

function checkAxis(from: Place, to: Place): Finding {
  if (from.layer === to.layer)
    return from.isInterface ? ["siblings", `an interface imports no implementation: ${to.path}`] : undefined;
  if (axes.has(to.layer) || to.layer === "regimen" || to.layer === "data")
    return to.isInterface
      ? undefined
      : ["siblings", `an axis imports src/${to.layer}/types.ts only, not ${to.path}`];
  if (rankOf(to) > rankOf(from)) return upward(from, to);
  if (axisMayImport.has(to.layer)) return undefined;
  return ["siblings", `an axis imports ${[...axisMayImport].join(", ")} and interfaces, not ${to.path}`];
}

const upward = (from: Place, to: Place): Finding => [
  "direction",
  `${from.layer} lies below ${to.layer} and may not import ${to.path}`,
];

/** One violation per group of files that import each other statically, types included. */
function cycles(edges: readonly Edge[]): Violation[] {
  const next = new Map<string, Map<string, number>>();
  for (const { from, to, kind, line } of edges) {
    if (!to || kind === "dynamic") continue;
    const targets = next.get(from.path) ?? new Map<string, number>();
    if (!targets.has(to.path)) targets.set(to.path, line);
    next.set(from.path, targets);
  }
  const seen = new Set<string>();
  const found: Violation[] = [];
  for (const start of [...next.keys()].sort()) {
    if (seen.has(start)) continue;
    const path = shortestCycle(start, next);
    if (path.length === 0) continue;
    for (const file of path) seen.add(file);
    const line = next.get(start)?.get(path[1] ?? start) ?? 1;
    found.push({ file: start, line, rule: "cycle", message: path.join(" -> ") });
  }
  return found;
}

/** Files from `start` back to itself, both ends included; empty when there is no way back. */
function shortestCycle(start: string, next: ReadonlyMap<string, ReadonlyMap<string, number>>): string[] {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    for (const target of next.get(file)?.keys() ?? []) {
      if (target === start) {
        const path = [start];
        for (let at: string | undefined = file; at !== undefined; at = cameFrom.get(at)) path.unshift(at);
        return path;
      }
      if (cameFrom.has(target)) continue;
      cameFrom.set(target, file);
      queue.push(target);
    }
  }
  return [];
}

/** Import statements, exports from, import(), import types and new URL("./x", import.meta.url) of one file. */
function importsOf(path: string, text: string): Import[] {
  if (!/\.(ts|svelte)$/.test(path)) return [];
  const code = path.endsWith(".svelte") ? scriptsOf(text) : text;
  const source = ts.createSourceFile(path, code, ts.ScriptTarget.Latest);
  const found: Import[] = [];
  const visit = (node: ts.Node): void => {
    const target = importTarget(node);
    if (target && ts.isStringLiteralLike(target.module))
      found.push({
        specifier: target.module.text,
        line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1,
        kind: target.kind,
      });
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function importTarget(node: ts.Node): { module: ts.Node; kind: Import["kind"] } | undefined {
  if (ts.isImportDeclaration(node))
    return { module: node.moduleSpecifier, kind: node.importClause?.isTypeOnly ? "types" : "value" };
  if (ts.isExportDeclaration(node) && node.moduleSpecifier)
    return { module: node.moduleSpecifier, kind: node.isTypeOnly ? "types" : "value" };
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
    return { module: node.argument.literal, kind: "types" };
  const [first, second] = ts.isCallExpression(node) || ts.isNewExpression(node) ? (node.arguments ?? []) : [];
  if (!first) return undefined;
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
    return { module: first, kind: "dynamic" };
  const isUrl =
    ts.isNewExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === "URL";
  const isModule = ts.isStringLiteralLike(first) && /^\..*\.(ts|js)$/.test(first.text);
  return isUrl && isModule && second && isMetaUrl(second) ? { module: first, kind: "dynamic" } : undefined;
}

const isMetaUrl = (node: ts.Node): boolean =>
  ts.isPropertyAccessExpression(node) && node.name.text === "url" && ts.isMetaProperty(node.expression);

/** A Svelte file with everything outside its scripts blanked, so that lines stay. */
function scriptsOf(text: string): string {
  const blank = (part: string) => part.replace(/[^\n]/g, " ");
  let code = "";
  let end = 0;
  for (const match of text.matchAll(/(<script[^>]*>)([\s\S]*?)<\/script>/g)) {
    const from = match.index + (match[1]?.length ?? 0);
    code += blank(text.slice(end, from)) + (match[2] ?? "");
    end = from + (match[2]?.length ?? 0);
  }
  return code + blank(text.slice(end));
}

/** The ten largest source files, files over 500 lines, and lines per layer. */
export function sizeReport(files: ReadonlyMap<string, string>): string {
  const sizes = [...files]
    .filter(([path]) => /^(src|studio)\//.test(path))
    .map(([path, text]) => ({
      place: placeOf(path),
      lines: text.split("\n").length - (text.endsWith("\n") ? 1 : 0),
    }))
    .sort((a, b) => b.lines - a.lines);
  const row = (lines: number, text: string) => `${String(lines).padStart(7)}  ${text}`;
  const sum = (some: typeof sizes) => some.reduce((total, { lines }) => total + lines, 0);
  const [tests, code] = [
    sizes.filter(({ place }) => place.isTest),
    sizes.filter(({ place }) => !place.isTest),
  ];
  const folders = [...layers.flat().reverse(), ""].map((layer) => {
    const own = code.filter(({ place }) => place.layer === layer);
    return { text: `${layer || "studio"} (${own.length} files)`, lines: sum(own), count: own.length };
  });
  return [
    "Ten largest source files (lines):",
    ...sizes.slice(0, 10).map(({ place, lines }) => row(lines, place.path)),
    "Lines per layer, without tests:",
    ...folders.filter(({ count }) => count > 0).map(({ text, lines }) => row(lines, text)),
    row(sum(code), `code in ${code.length} files`),
    row(sum(tests), `tests and test helpers in ${tests.length} files`),
    ...sizes
      .filter(({ lines }) => lines > maxLines)
      .map(({ place, lines }) => `warning: ${place.path} has ${lines} lines, more than ${maxLines}`),
  ].join("\n");
}

function readTree(root: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const top of ["src", "studio", "test", "scripts"]) {
    for (const entry of listFolder(join(root, top))) {
      const path = `${top}/${entry}`;
      if (/\.(ts|svelte)$/.test(path) && !/(^|\/)(node_modules|fixtures|dist)\//.test(path))
        files.set(path, readFileSync(join(root, path), "utf8"));
    }
  }
  return files;
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) =>
      path.replaceAll("\\", "/"),
    );
  } catch {
    return []; // a tree without studio/ is fine
  }
}

/** Prints violations as `file:line rule: message`; returns the exit code. */
export function main(root: string, args: readonly string[]): number {
  const files = readTree(root);
  if (args.includes("--report")) console.log(sizeReport(files));
  const violations = checkTree(files);
  for (const { file, line, rule, message } of violations) console.log(`${file}:${line} ${rule}: ${message}`);
  if (violations.length === 0) console.log(`layers: ${files.size} files, no violations`);
  return violations.length > 0 ? 1 : 0;
}
