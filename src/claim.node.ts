/** Measuring what a system claims, and checking a committed result: data, models and feature networks for the claims. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { claims } from "./claims/registry.ts";
import { openImageSet } from "./data/imageSets.node.ts";
import { openSeries } from "./data/series/seriesSets.node.ts";
import { readWeightFile } from "./data/weightFiles.node.ts";
import { currentRow } from "./evaluate/claim/arms.node.ts";
import { type ClaimCheck, checkClaim as checkOne } from "./evaluate/claim/checkClaim.node.ts";
import type { Claim, ClaimSetting, FeatureIdentity, FeatureNetworks } from "./evaluate/claim/claim.ts";
import { type ClaimEvent, claimPaths, runClaim } from "./evaluate/claim/runClaim.node.ts";
import { openFrozenClassifier } from "./evaluate/classifier/classifier.node.ts";
import { frozenClassifiers } from "./evaluate/classifier/frozen.ts";
import { openSqueezeNet } from "./evaluate/features/foreign.node.ts";
import type { FeatureExtractor } from "./evaluate/features/types.ts";
import { suggestion } from "./formats/suggest.ts";
import { findModel, packageRoot } from "./models.node.ts";
import { type DeviceOptions, machineClass, openDevice } from "./runtime/device.node.ts";
import type { Device } from "./runtime/device.ts";
import { NextxError } from "./tensor/errors.ts";

export interface ClaimOptions extends DeviceOptions {
  /** Folder of results: <system>.json and <system>/arms/; `results` when absent. */
  readonly out?: string;
  /** Folder of data sets and foreign weights. */
  readonly dataRoot?: string;
  /** Arms to run, by name or by the part before a dash; all when absent. */
  readonly arms?: readonly string[];
  /** Version of nextx, for results made outside a repository. */
  readonly version?: string;
  readonly onProgress?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** The foreign network that judges beside our own classifiers, fixed before the first claim. */
const foreign = {
  name: "squeezenet-1.1 fire9 @96",
  sha256: "06e09e76cd389c917aca50cd7775afcfdcfae5cd0a6e41337efe855cb21a3975",
  folder: "weights-squeezenet-1.1",
};

const noFeatures = (message: string): NextxError =>
  new NextxError("CLAIM_NO_FEATURES", message, {
    path: "features",
    hint: `Name a folder with ${foreign.folder}: --data FOLDER or NEXTX_DATA.`,
  });

/** Networks of a set, opened when first asked for; `opened` collects them for disposal. */
function networksOf(
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
    const ours = await openFrozenClassifier(join(packageRoot(), "models", "classifiers"), set, device);
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

interface OpenClaim extends AsyncDisposable {
  readonly claim: Claim;
  readonly device: Device;
}

/** Ids of systems whose claims can be measured. */
export const claimIds = (): readonly string[] => [...claims.keys()];

/** @throws NextxError CLAIM_UNKNOWN, and the codes of composing the claim */
async function openClaim(id: string, options: ClaimOptions): Promise<OpenClaim> {
  const factory = claims.get(id);
  if (factory === undefined)
    throw new NextxError("CLAIM_UNKNOWN", `There is no claim of "${id}".`, {
      path: "system",
      hint: suggestion(id, claimIds()),
    });
  const { dataRoot, onProgress } = options;
  const device = await openDevice(options);
  const opened: FeatureExtractor[] = [];
  const networks = new Map<string, FeatureNetworks>();
  const setting: ClaimSetting = {
    device,
    openData: (set, size, split) =>
      openImageSet(set, { size, split, ...(dataRoot !== undefined && { dataRoot }) }),
    openSeries: (set) => openSeries(set, dataRoot),
    model: findModel,
    features: (set) => {
      const known = networks.get(set) ?? networksOf(set, dataRoot, device, opened);
      networks.set(set, known);
      return known;
    },
    readWeights: (path) => readWeightFile(dataRoot, path),
    ...(onProgress && { onProgress }),
  };
  const dispose = async () => {
    for (const extractor of opened) extractor[Symbol.dispose]();
  };
  return { claim: await factory(setting), device, [Symbol.asyncDispose]: dispose };
}

/** The commit of this checkout, or the version outside a repository. */
function revision(version: string): string {
  const git = spawnSync("git", ["rev-parse", "HEAD"], { cwd: packageRoot(), encoding: "utf8" });
  return git.status === 0 ? git.stdout.trim() : `nextx ${version}`;
}

/** An arm of a claim, and whether its row is there. */
export interface ArmStatus {
  readonly arm: string;
  readonly isThere: boolean;
  readonly minutes: number | null;
}

/** The arms of a claim in their order; runs nothing. @throws NextxError CLAIM_ codes */
export async function claimArms(id: string, options: ClaimOptions = {}): Promise<ArmStatus[]> {
  await using open = await openClaim(id, options);
  const { arms: folder } = claimPaths(options.out ?? "results", id);
  return Promise.all(
    open.claim.arms.map(async (arm) => {
      const row = await currentRow(folder, arm);
      return { arm: arm.name, isThere: row !== undefined, minutes: row?.minutes ?? null };
    }),
  );
}

/** Runs what is missing of a claim and judges it. @throws NextxError CLAIM_ codes, ABORTED, and those of the arms */
export async function* claim(id: string, options: ClaimOptions = {}): AsyncGenerator<ClaimEvent> {
  await using open = await openClaim(id, options);
  const { out = "results", arms, signal, version = "" } = options;
  yield* runClaim(open.claim, {
    paths: claimPaths(out, id),
    origin: {
      revision: revision(version),
      command: `nextx claim ${id}`,
      machineClass: machineClass(open.device),
    },
    ...(arms && { arms }),
    ...(signal && { signal }),
  });
}

/** Checks a committed result, part by part. @throws NextxError CLAIM_ codes, ABORTED */
export async function* checkClaim(id: string, options: ClaimOptions = {}): AsyncGenerator<ClaimCheck> {
  await using open = await openClaim(id, options);
  const { out = "results", signal } = options;
  yield* checkOne(open.claim, { paths: claimPaths(out, id), ...(signal && { signal }) });
}
