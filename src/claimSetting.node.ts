/** What claims and contests may use: a device, data, shipped models, the networks that judge. */
import { spawnSync } from "node:child_process";
import { openImageSet } from "./data/imageSets.node.ts";
import { openSeries } from "./data/series/seriesSets.node.ts";
import { readWeightFile } from "./data/weightFiles.node.ts";
import type { ClaimSetting, FeatureNetworks } from "./evaluate/claim/claim.ts";
import type { FeatureExtractor } from "./evaluate/features/types.ts";
import type { NetworksOf } from "./featureNetworks.node.ts";
import { findModel, packageRoot } from "./models.node.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";

export interface SettingOptions extends DeviceOptions {
  /** Folder of data sets and foreign weights. */
  readonly dataRoot?: string;
  readonly onProgress?: (text: string) => void;
}

export interface OpenSetting extends AsyncDisposable {
  readonly setting: ClaimSetting;
}

/** Opens the device; everything else when it is asked for. @throws NextxError DEVICE_ codes */
export async function openSetting(options: SettingOptions, networksOf: NetworksOf): Promise<OpenSetting> {
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
  return { setting, [Symbol.asyncDispose]: dispose };
}

/** The commit of this checkout, or the version outside a repository. */
export function revision(version: string): string {
  const git = spawnSync("git", ["rev-parse", "HEAD"], { cwd: packageRoot(), encoding: "utf8" });
  return git.status === 0 ? git.stdout.trim() : `nextx ${version}`;
}
