/** Claims that are contests of image models, everything tiny: every arm without times runs; what numbers say is not tested. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import type { ArmRow } from "../evaluate/claim/arms.node.ts";
import { checkClaim } from "../evaluate/claim/checkClaim.node.ts";
import type { Claim, ClaimFactory } from "../evaluate/claim/claim.ts";
import { type ClaimEvent, claimPaths, runClaim } from "../evaluate/claim/runClaim.node.ts";
import { parameterCount } from "../nn/scope.ts";
import type { ImageSystem, ModelDescription } from "../regimen/system.ts";
import { transformerPrefix as flowPrefix } from "../systems/flowar/build.ts";
import { flowArSystem } from "../systems/flowar/system.ts";
import { transformerPrefix as varPrefix } from "../systems/var/scaleWise.ts";
import { varSystem } from "../systems/var/system.ts";
import { flowArClaimOf, flowArClaimOptions } from "./flowar/claim.ts";
import { flowSides } from "./flowar/sides.ts";
import { hmarClaimOf, hmarClaimOptions } from "./hmar/claim.ts";
import { narClaimOf, narClaimOptions } from "./nar/claim.ts";
import { tinySetting } from "./testing/tinySetting.ts";
import { xarClaimOf, xarClaimOptions } from "./xar/claim.ts";

const root = mkdtempSync(join(tmpdir(), "nextx-contests-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const contest = { seeds: [1], samples: 24, guidanceGrid: [0], guidanceSamples: 16 };
const tiny = { batchSize: 8, tokenImages: 32 };
const claims: Readonly<Record<string, ClaimFactory>> = {
  hmar: hmarClaimOf({
    ...{ ...hmarClaimOptions, ...tiny, contest, nextScaleSteps: 3, maskedSteps: 2 },
    transformer: { depth: 2, embedDim: 16, numHeads: 2 },
    schedules: { "plus-8": hmarClaimOptions.schedules["plus-8"] ?? "none" },
    tailLayers: 1,
    inpainting: { pictures: 12, seeds: [1] },
    speed: {
      schedules: [
        [1, 2],
        [1, 2, 3],
      ],
      widths: [16],
      batches: [1, 2],
      repeats: 1,
    },
  }),
  nar: narClaimOf({
    ...{ ...narClaimOptions, ...tiny, contest, tokenizerSteps: 2, transformerSteps: 2 },
    ...{ transformer: { dim: 16, nHead: 2 }, layers: 2 },
    speed: { batches: [1, 2], repeats: 1, layers: 2, sides: [3] },
  }),
  flowar: flowArClaimOf({
    ...{ ...flowArClaimOptions, ...tiny, contest, tokenizerSteps: 2, transformerSteps: 2 },
    ...{ width: 16, numHeads: 2, steps: [2] },
  }),
  xar: xarClaimOf({
    ...{ ...xarClaimOptions, ...tiny, contest, tokenizerSteps: 2, transformerSteps: 2 },
    ...{ embedDim: 16, numHeads: 2, depth: 1, steps: 2, ablations: ["image"] },
    robustness: { pictures: 70, sigmas: [0, 0.3] },
    speed: { batches: [1, 2], repeats: 1 },
  }),
};

async function run(claim: Claim, id: string) {
  const options = { paths: claimPaths(root, id), origin: { revision: "r", command: "c", machineClass: "m" } };
  const events: ClaimEvent[] = [];
  for await (const event of runClaim(claim, options)) events.push(event);
  const rows = events.flatMap((event): ArmRow[] => (event.kind === "finished" ? [event.row] : []));
  return { events, rows: new Map(rows.map((row) => [row.arm, row])), paths: options.paths };
}

it.each(Object.keys(claims))(
  "%s: every arm runs, gives every measure, and a result that holds when it is checked",
  async (id) => {
    const claim = await (claims[id] as ClaimFactory)(await tinySetting());
    const { events, rows, paths } = await run(claim, id);
    expect([...rows.keys()]).toEqual(claim.arms.map(({ name }) => name));
    const judged = events.find((event) => event.kind === "judged");
    expect(judged?.result.measures.map(({ name }) => name)).toEqual(claim.measures.map(({ name }) => name));
    for await (const { part, problems } of checkClaim(claim, { paths })) expect(problems, part).toEqual([]);
    if (id === "hmar") {
      const work = rows.get("pair-cost")?.numbers as Record<string, number>;
      const [markov = 0, hmar = 0, own = 1] = [work.markov, work.hmar, work.var];
      expect(rows.get("pair-var-1")?.numbers.steps).toBe(Math.round((3 * markov + 2 * hmar) / own));
    }
  },
  600_000,
);

it.each([
  ["hmar", hmarClaimOf(hmarClaimOptions)],
  ["nar", narClaimOf(narClaimOptions)],
  ["flowar", flowArClaimOf(flowArClaimOptions)],
  ["xar", xarClaimOf(xarClaimOptions)],
])(
  "%s: the full claim's arms have names of their own, and measures read arms that there are",
  async (_, claimOf) => {
    const claim = await claimOf(await tinySetting());
    const names = claim.arms.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const measures = claim.measures.map(({ name }) => name);
    expect(new Set(measures).size).toBe(measures.length);
    for (const { arms } of claim.measures) for (const arm of arms) expect(names).toContain(arm);
  },
);

it("FlowAR and its VAR have as many parameters to within 5 %", () => {
  const { flowar, var: rival } = flowSides({ ...flowArClaimOptions, seed: 1 }).descriptions;
  const own = (description: ModelDescription, system: ImageSystem, prefix: string) =>
    parameterCount(new Map([...system.parameters(description)].filter(([name]) => name.startsWith(prefix))));
  const ratio = own(flowar, flowArSystem, flowPrefix) / own(rival, varSystem, varPrefix);
  expect(Math.abs(ratio - 1)).toBeLessThan(0.05);
});
