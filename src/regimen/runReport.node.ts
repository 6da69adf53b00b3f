/** The report of a run folder: its stages (run folders inside it) in the order of their names, else the run itself. */
import { basename, join, resolve } from "node:path";
import { fileError, nodeFiles } from "../formats/durableLayer.node.ts";
import { listIfThere, type RunFolderOptions, RunReader, runFile } from "./runFolderReader.node.ts";
import { type ReportPart, renderRunReport } from "./runReport.ts";

const shownSamples = 6;
const maxSampleBytes = 4_000_000;

/**
 * One static HTML page about a run, whether it still trains or not.
 * @throws NextxError RUN_NOT_FOUND, RUN_BAD_FILE, RUN_NEWER_VERSION, FILE_ codes
 */
export async function reportOfRun(path: string, options: RunFolderOptions = {}): Promise<string> {
  const run = await RunReader.read(path, options);
  const files = options.files ?? nodeFiles;
  const parts: ReportPart[] = [];
  for (const name of await listIfThere(files, path).then((names) => names.sort(byNumber))) {
    const inner = await openInner(join(path, name), options);
    if (inner) parts.push(await partOf(inner, name.replace(/^\d+-/, ""), options));
  }
  const own = await partOf(run, "run", options);
  if (parts.length === 0 || own.rows.length > 0) parts.unshift(own);
  const { config, provenance } = run;
  return renderRunReport({ title: `Run ${basename(resolve(path))}`, parts, config, provenance });
}

const byNumber = (a: string, b: string) =>
  Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1);

/** The run folder at a path, or undefined when there is none. */
async function openInner(path: string, options: RunFolderOptions): Promise<RunReader | undefined> {
  const files = options.files ?? nodeFiles;
  const names = await files.list(path).catch((): string[] => []); // a file, or gone meanwhile
  return names.includes(runFile) ? RunReader.read(path, options) : undefined;
}

async function partOf(run: RunReader, name: string, options: RunFolderOptions): Promise<ReportPart> {
  const files = options.files ?? nodeFiles;
  const latest = (await run.samples()).slice(-shownSamples).reverse();
  const samples = await Promise.all(
    latest.map(async (sample) => ({
      ...sample,
      png: await files.read(sample.path).catch((cause: unknown) => {
        throw fileError(cause, sample.path, "read");
      }),
    })),
  );
  const small = samples.filter(({ png }) => png.length <= maxSampleBytes);
  return { name, rows: await run.metrics(), samples: small };
}
