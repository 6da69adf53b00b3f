/** Small published checkpoints for tests: parts of a model under their official names, in the files that PyTorch writes. */
import { writeFileSync } from "node:fs";
import type { Weights } from "../../nn/scope.ts";
import { type HostTensor, tensorBytes } from "../hostTensor.ts";
import { fromValue } from "../tensorValue.ts";
import { op, torchZip } from "./torchFile.ts";

/** Tensors by name. */
export type Tensors = ReadonlyMap<string, HostTensor>;

/** Official names of one part: the prefix of model files off. */
export const partOf = (weights: Weights, prefix: string): Tensors =>
  new Map(
    [...weights]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), fromValue(value)]),
  );

/** Rewrites names, as wrappers do. */
export const wrapped = (tensors: Tensors, rename: (name: string) => string): Tensors =>
  new Map([...tensors].map(([name, tensor]) => [rename(name), tensor]));

/** A .pth with state dicts nested as keys say. */
export function writePth(path: string, tree: Readonly<Record<string, Tensors>>): void {
  const storages: Record<string, Uint8Array> = {};
  const types = { F32: "FloatStorage", I64: "LongStorage" } as const;
  const dictOf = (tensors: Tensors) =>
    op.dict(
      ...[...tensors].flatMap(([name, tensor]) => {
        const { dtype, shape, data } = tensor;
        const key = String(Object.keys(storages).length);
        storages[key] = new Uint8Array(tensorBytes(tensor));
        const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
        const storage = op.storage(types[dtype as "F32" | "I64"], key, data.length);
        return [op.text(name), op.tensor(storage, 0, shape, strides)];
      }),
    );
  type Place = readonly [keys: readonly string[], tensors: Tensors];
  const itemsOf = (places: readonly Place[]): Uint8Array[] =>
    [...new Set(places.map(([[first = ""]]) => first))].flatMap((name) => {
      const below = places.flatMap(([[first, ...rest], t]): Place[] => (first === name ? [[rest, t]] : []));
      return [op.text(name), nested(below)];
    });
  const nested = (places: readonly Place[]): Uint8Array => {
    const [only] = places;
    return only && only[0].length === 0 ? dictOf(only[1]) : op.dict(...itemsOf(places));
  };
  const places = Object.entries(tree).map(
    ([key, tensors]): Place => [key === "" ? [] : key.split("."), tensors],
  );
  const isBare = places[0]?.[0].length === 0;
  const root = isBare ? nested(places) : op.dict(op.text("epoch"), op.int(3), ...itemsOf(places));
  writeFileSync(path, torchZip(op.pickle(root), storages));
}
