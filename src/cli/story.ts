/** SAR's story on a terminal: live curves while the base is refined, then a table of what was measured now. */
import type { EvaluationReport } from "../evaluate.node.ts";
import { shippedModels } from "../models.node.ts";
import { refinementStory, type StoryOptions } from "../refinementStory.node.ts";
import { type StoryRole, storyModels } from "../storyModels.ts";
import { duration, ProgressLine, print, printJson } from "./output.ts";
import { sparkline, thinned } from "./sparkline.ts";

const titles: Readonly<Record<StoryRole, string>> = {
  base: "base",
  control: "trained on as before",
  refined: "refined on itself (SAR)",
};

/** Runs it. @throws NextxError MODEL_ codes, ABORTED */
export async function tellStory(options: StoryOptions, json: boolean): Promise<void> {
  const line = new ProgressLine();
  const [losses, agreements]: [number[], number[]] = [[], []];
  const reports = new Map<StoryRole, EvaluationReport>();
  if (!json)
    print("Self-autoregressive refinement: a finished model learns to stay good on its own predictions.\n");
  for await (const event of refinementStory(options)) {
    if (json) {
      printJson(event);
      continue;
    }
    switch (event.kind) {
      case "preparing":
        endRefining(line, losses, agreements);
        line.update(event.text);
        break;
      case "step":
        losses.push(event.studentLoss);
        agreements.push(event.agreement);
        line.update(
          `refining ${duration(event.elapsedMs)}  loss on its own past ${event.studentLoss.toFixed(3)} ` +
            `${sparkline(thinned(losses, 20))}  agreement ${(100 * event.agreement).toFixed(1)} % ${sparkline(thinned(agreements, 20))}`,
        );
        break;
      case "measured":
        reports.set(event.role, event.report);
        break;
      default:
        event satisfies never;
    }
  }
  line.end();
  if (!json) showTable(reports);
}

/** What the refining did, once, when something else begins. */
function endRefining(line: ProgressLine, losses: number[], agreements: number[]): void {
  if (losses.length === 0) return;
  line.end();
  const ends = (values: readonly number[]) => {
    const means = thinned(values, 6);
    return [means[0] ?? 0, means.at(-1) ?? 0] as const;
  };
  const [[loss0, loss1], [agree0, agree1]] = [ends(losses), ends(agreements)];
  print(
    `A taste of refining, ${losses.length} steps: loss on its own past ${loss0.toFixed(3)} to ${loss1.toFixed(3)}, ` +
      `agreement of both passes ${(100 * agree0).toFixed(1)} to ${(100 * agree1).toFixed(1)} %.\n`,
  );
  losses.length = 0;
}

function showTable(reports: ReadonlyMap<StoryRole, EvaluationReport>): void {
  const [any] = reports.values();
  const [network] = any?.features ?? [];
  if (any === undefined || network === undefined) return;
  print(`Measured now, ${any.count} samples each from the same noise, ${network.name}:`);
  for (const [role, report] of reports) {
    const { distance, standardError } = report.features[0]?.frechet ?? { distance: 0, standardError: 0 };
    const valid = report.validity ? `, ${(100 * report.validity.rate).toFixed(1)} % keep all rules` : "";
    print(
      `  ${titles[role].padEnd(24)} Fréchet distance ${distance.toFixed(2)} ± ${standardError.toFixed(2)}${valid}`,
    );
  }
  print(verdict(reports));
}

/** Whether what was measured has the sign that the refined model's card promises. */
function verdict(reports: ReadonlyMap<StoryRole, EvaluationReport>): string {
  const distance = (role: StoryRole) => reports.get(role)?.features[0]?.frechet.distance ?? Number.NaN;
  const change = distance("refined") / distance("control") - 1;
  const card = shippedModels().find(({ name }) => name === storyModels.refined)?.card;
  const promised = Number((card?.claim as { change?: number } | undefined)?.change);
  const percent = (value: number) => `${value > 0 ? "+" : ""}${(100 * value).toFixed(1)} %`;
  const told = `Refined against trained on: ${percent(change)}`;
  if (!Number.isFinite(promised)) return `${told}.`;
  const agrees = Math.sign(promised) === Math.sign(change);
  return `${told}; the card says ${percent(promised)} over three seeds${agrees ? "." : ": THE SIGN DIFFERS."}`;
}
