/** Long lists of dicts or names in checkpoints, such as an optimiser's state of each weight, shown as a few groups. */

/** Tensors at a place of a file. */
export interface TensorGroup {
  /** Keys of dicts, then what starts the names, joined by dots. */
  readonly key: string;
  readonly tensors: number;
  /** Of how many dicts it stands for, where that is not one. */
  readonly dicts?: number;
}

/** Dicts beside each other under one parent are shown as one from here on. */
const manySiblings = 5;

const parentOf = (key: string): string => key.slice(0, Math.max(0, key.lastIndexOf(".")));

/** Dicts, those that have many siblings as one group under their parent's key. */
export function groupDicts(dicts: readonly TensorGroup[]): TensorGroup[] {
  const siblings = new Map<string, TensorGroup[]>();
  for (const dict of dicts) {
    const parent = parentOf(dict.key);
    const those = siblings.get(parent) ?? [];
    those.push(dict);
    siblings.set(parent, those);
  }
  return [...siblings].flatMap(([key, those]) =>
    key === "" || those.length < manySiblings
      ? those
      : [{ key, tensors: those.reduce((sum, { tensors }) => sum + tensors, 0), dicts: those.length }],
  );
}

/** Names by what stands before their first dot, below a dict's key. */
export function groupNames(key: string, names: Iterable<string>): TensorGroup[] {
  const counts = new Map<string, number>();
  for (const name of names) {
    const [first = ""] = name.split(".", 1);
    const group = [key, first === name ? "" : first].filter((text) => text !== "").join(".");
    counts.set(group, (counts.get(group) ?? 0) + 1);
  }
  return [...counts].map(([group, tensors]) => ({ key: group, tensors }));
}
