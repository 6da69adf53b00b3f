/** Measuring what a system claims, and checking a committed result: data, models and feature networks for the claims. */
import { openSetting, revision, type SettingOptions } from "./claimSetting.node.ts";
import { claims } from "./claims/registry.ts";
import { currentRow } from "./evaluate/claim/arms.node.ts";
import { type ClaimCheck, checkClaim as checkOne } from "./evaluate/claim/checkClaim.node.ts";
import type { Claim } from "./evaluate/claim/claim.ts";
import { type ClaimEvent, claimPaths, runClaim } from "./evaluate/claim/runClaim.node.ts";
import { networksOf } from "./featureNetworks.node.ts";
import { suggestion } from "./formats/suggest.ts";
import { machineClass } from "./runtime/device.node.ts";
import type { Device } from "./runtime/device.ts";
import { NextxError } from "./tensor/errors.ts";

/** What running a claim may be told. */
export interface ClaimOptions extends SettingOptions {
  /** Folder of results: <system>.json and <system>/arms/; `results` when absent. */
  readonly out?: string;
  /** Arms to run, by name or by the part before a dash; all when absent. */
  readonly arms?: readonly string[];
  /** Version of nextx, for results made outside a repository. */
  readonly version?: string;
  readonly signal?: AbortSignal;
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
  const { setting, ...opened } = await openSetting(options, networksOf);
  return { claim: await factory(setting), device: setting.device, ...opened };
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

/** Checks a committed result, part by part; `all` takes its time. @throws NextxError CLAIM_ codes, ABORTED */
export async function* checkClaim(
  id: string,
  { all = false, ...options }: ClaimOptions & { readonly all?: boolean } = {},
): AsyncGenerator<ClaimCheck> {
  await using open = await openClaim(id, options);
  const { out = "results", signal } = options;
  yield* checkOne(open.claim, { paths: claimPaths(out, id), all, ...(signal && { signal }) });
}
