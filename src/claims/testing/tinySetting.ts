/** What a claim may use, tiny: 64 procedural pictures, a feature network that sees the colours of halves, shipped models. */
import { synthClassNames } from "../../data/synth/factors.ts";
import { createSynth } from "../../data/synth/synth.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import type { FeatureExtractor, Pictures } from "../../evaluate/features/types.ts";
import { findModel } from "../../models.node.ts";
import { openCpu } from "../../runtime/device.node.ts";
import { NextxError } from "../../tensor/errors.ts";

/** Mean colours of a picture's halves: six features; it takes everything for the first class. */
function halves(): FeatureExtractor {
  const extract = async ({ pixels, count, size }: Pictures) => {
    const data = new Float64Array(count * 6);
    for (let i = 0; i < pixels.length; i++) {
      const picture = Math.floor(i / (3 * size * size));
      const isRight = Math.floor(i / 3) % size >= size / 2;
      const at = picture * 6 + (isRight ? 3 : 0) + (i % 3);
      data[at] = (data[at] ?? 0) + (pixels[i] ?? 0) / (size * size);
    }
    const logits = new Float64Array(count * synthClassNames.length).map((_, i) =>
      i % synthClassNames.length === 0 ? 1 : 0,
    );
    return {
      features: { data, count, dims: 6 },
      logits: { data: logits, count, dims: synthClassNames.length },
    };
  };
  return {
    ...{ name: "halves", sha256: "0".repeat(64), dims: 6, inputSize: 32, extract },
    classNames: synthClassNames,
    features: async (pictures) => (await extract(pictures)).features,
    [Symbol.dispose]: () => undefined,
  };
}

const none = async (): Promise<never> => {
  throw new NextxError("DATA_NO_ROOT", "none is needed");
};

export async function tinySetting(): Promise<ClaimSetting> {
  const network = halves();
  return {
    device: await openCpu({ threads: 2 }),
    openData: async (_, __, split) => createSynth({ size: 32, split, length: 64 }),
    model: findModel,
    features: () => ({
      identities: [{ name: network.name, sha256: network.sha256 }],
      open: async () => [network],
    }),
    ...{ openSeries: none, readWeights: none },
  };
}
