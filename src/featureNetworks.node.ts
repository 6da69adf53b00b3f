/** The networks that judge claims and contests: our frozen classifier of a set, and a foreign one from a data folder. */
import { join } from "node:path";
import type { FeatureIdentity, FeatureNetworks } from "./evaluate/claim/claim.ts";
import { openFrozenClassifier } from "./evaluate/classifier/classifier.node.ts";
import { frozenClassifiers } from "./evaluate/classifier/frozen.ts";
import { openSqueezeNet } from "./evaluate/features/foreign.node.ts";
import type { FeatureExtractor } from "./evaluate/features/types.ts";
import { packageRoot } from "./models.node.ts";
import type { Device } from "./runtime/device.ts";
import { NextxError } from "./tensor/errors.ts";

/** The foreign network that judges beside our own classifiers, fixed before the first claim. */
const foreign = {
  name: "squeezenet-1.1 fire9 @96",
  sha256: "06e09e76cd389c917aca50cd7775afcfdcfae5cd0a6e41337efe855cb21a3975",
  folder: "weights-squeezenet-1.1",
};

const classifierRoot = (): string => join(packageRoot(), "models", "classifiers");

const noFeatures = (message: string): NextxError =>
  new NextxError("CLAIM_NO_FEATURES", message, {
    path: "features",
    hint: `Name a folder with ${foreign.folder}: --data FOLDER or NEXTX_DATA.`,
  });

/** The networks of a set, opened when first asked for; `opened` collects them for disposal. */
export type NetworksOf = typeof networksOf;

/** Both: what claims are judged by. */
export function networksOf(
  set: string,
  dataRoot: string | undefined,
  device: Device,
  opened: FeatureExtractor[],
): FeatureNetworks {
  const frozen = Object.hasOwn(frozenClassifiers, set) ? frozenClassifiers[set] : undefined;
  const own = frozen && { name: `classifier ${set}`, sha256: frozen.sha256 };
  const { folder, ...identity } = foreign;
  let made: Promise<readonly FeatureExtractor[]> | undefined;
  const openAll = async (): Promise<FeatureExtractor[]> => {
    const ours = await openFrozenClassifier(classifierRoot(), set, device);
    if (ours) opened.push(ours);
    if (dataRoot === undefined)
      throw noFeatures(`${foreign.name} is read from a data folder; none is named.`);
    const theirs = await openSqueezeNet(join(dataRoot, folder), { device }).catch((cause: unknown) => {
      if (cause instanceof NextxError && cause.code === "FILE_NOT_FOUND") throw noFeatures(cause.message);
      throw cause;
    });
    opened.push(theirs);
    requireIdentity(theirs, identity);
    return ours ? [ours, theirs] : [theirs];
  };
  return {
    identities: own ? [own, identity] : [identity],
    open: () => {
      made ??= openAll();
      return made;
    },
  };
}

function requireIdentity({ name, sha256 }: FeatureExtractor, wanted: FeatureIdentity): void {
  if (name === wanted.name && sha256 === wanted.sha256) return;
  throw new NextxError("CLAIM_OTHER_FEATURES", `${name} ${sha256.slice(0, 12)} is not what claims use.`, {
    path: "features",
    hint: `Claims use ${wanted.name}, SHA-256 ${wanted.sha256}.`,
  });
}

/** Ours alone where no data folder is named. */
export const availableNetworksOf: NetworksOf = (set, dataRoot, device, opened) => {
  const all = networksOf(set, dataRoot, device, opened);
  if (dataRoot !== undefined) return all;
  let made: Promise<readonly FeatureExtractor[]> | undefined;
  const openOwn = async () => {
    const ours = await openFrozenClassifier(classifierRoot(), set, device);
    if (ours === undefined)
      throw noFeatures(`There is no classifier of ${set}, and no data folder is named.`);
    opened.push(ours);
    return [ours];
  };
  return {
    identities: all.identities.filter(({ name }) => name !== foreign.name),
    open: () => {
      made ??= openOwn();
      return made;
    },
  };
};
