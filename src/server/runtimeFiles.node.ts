/** The files of onnxruntime-web that pages load, from where the package is installed. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { runtimeFiles } from "../runtime/runtimeFiles.ts";
import { NextxError } from "../tensor/errors.ts";
import type { StaticFile } from "./staticFiles.node.ts";

/** Names of all that pages may ask for. */
export const runtimeFileNames: readonly string[] = Object.values(runtimeFiles).flat();

/** Where a file lies, and its type; undefined for any other name. @throws NextxError OPTIONAL_DEPENDENCY_MISSING */
export function placeOfRuntimeFile(
  name: string,
): { readonly path: string; readonly type: string } | undefined {
  if (!runtimeFileNames.includes(name)) return undefined;
  return { path: placeOf(name), type: name.endsWith(".wasm") ? "application/wasm" : "text/javascript" };
}

/** Undefined for any other name. @throws NextxError OPTIONAL_DEPENDENCY_MISSING */
export async function readRuntimeFile(name: string): Promise<StaticFile | undefined> {
  const file = placeOfRuntimeFile(name);
  return file && { bytes: Uint8Array.from(await readFile(file.path)), type: file.type };
}

function placeOf(name: string): string {
  try {
    return createRequire(import.meta.url).resolve(`onnxruntime-web/${name}`);
  } catch (cause) {
    throw new NextxError("OPTIONAL_DEPENDENCY_MISSING", "onnxruntime-web is not installed.", {
      hint: "Install it next to nextx: npm install onnxruntime-web",
      cause,
    });
  }
}
