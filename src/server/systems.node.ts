/** The catalogue of systems as clients see it: facts, what runs here, what was measured, and plans to draw. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { claimPaths, readResult } from "../evaluate/claim/runClaim.node.ts";
import { packageRoot, shippedModels } from "../models.node.ts";
import { type PlanDiagram, planDiagrams } from "../systems/diagrams.ts";
import { systemFacts } from "../systems/facts.ts";
import { imageSystems, systems } from "../systems/registry.ts";
import type { SystemInfo } from "./protocol.ts";

/** Flags as base64, eight to a byte, the first in the lowest bit. */
function packed(flags: Uint8Array): string {
  const bytes = new Uint8Array(Math.ceil(flags.length / 8));
  flags.forEach((flag, i) => {
    if (flag) bytes[i >> 3] = (bytes[i >> 3] as number) | (1 << (i & 7));
  });
  return Buffer.from(bytes).toString("base64");
}

const drawn = ({ name, plan, visibility }: PlanDiagram) => ({
  name,
  visibility: visibility.name,
  groups: plan.groups.map(({ size }) => size),
  areMaps: plan.groups.every((group) => "side" in group),
  hidden: packed(visibility.hidden(plan)),
});

async function claimOf(id: string): Promise<SystemInfo["claim"]> {
  const path = claimPaths(join(packageRoot(), "results"), id).result;
  const result = existsSync(path) ? await readResult(path) : undefined;
  if (result === undefined) return null;
  const { verdict, statement, measures } = result;
  return {
    ...{ verdict, statement },
    measures: measures.map(({ name, unit, system, baseline, baselineName, headline, holds }) => ({
      ...{ name, unit, system, baseline, baselineName, headline, holds },
    })),
  };
}

/** All systems, those that run here first. @throws NextxError CLAIM_ codes for a damaged result */
export async function listSystems(): Promise<SystemInfo[]> {
  const models = shippedModels();
  const all = await Promise.all(
    systemFacts.map(
      async (facts): Promise<SystemInfo> => ({
        ...facts,
        runs: systems.has(facts.id),
        description: systems.get(facts.id)?.description ?? null,
        command: imageSystems.has(facts.id) ? `nextx train ${facts.id}` : null,
        models: models.filter(({ card }) => card.system === facts.id).map(({ name }) => name),
        claim: await claimOf(facts.id),
        diagrams: (planDiagrams[facts.id] ?? []).map(drawn),
      }),
    ),
  );
  return [...all.filter(({ runs }) => runs), ...all.filter(({ runs }) => !runs)];
}
