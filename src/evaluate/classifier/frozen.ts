/**
 * The frozen classifiers by data set: folder below models/classifiers/ and SHA-256 of the weights. Features of another file
 * are other features: a classifier that is trained again gets a folder of its own, and old numbers keep theirs.
 */

export type FrozenClassifiers = Readonly<
  Record<string, { readonly folder: string; readonly sha256: string }>
>;

export const frozenClassifiers: FrozenClassifiers = {
  "fashion-mnist": {
    folder: "fashion-mnist-32",
    sha256: "6e734299f8b535a1d94a030f24fe9a204213530d84e2fed2ce3dd739a7c870e5",
  },
  tiles: {
    folder: "tiles-32",
    sha256: "c082107709113902e25d8e2f54a5411715ea2169eb750d7b178645adb7a249ff",
  },
  synth: {
    folder: "synth-32",
    sha256: "ee2881dd6c03297cc236e7404314e9bbb1242630f4ea5aa83eafce6523643dae",
  },
};
