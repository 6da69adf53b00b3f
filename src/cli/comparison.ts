/** What `nextx eval MODEL --against REFERENCE` prints. */
import type { ComparisonReport } from "../compare.node.ts";
import type { FrechetEstimate } from "../evaluate/frechet.ts";
import { print } from "./output.ts";

const percent = (part: number): string => `${(100 * part).toFixed(2)} %`;
const distance = ({ distance: d, standardError }: FrechetEstimate): string =>
  `${d.toPrecision(4)} ± ${standardError.toPrecision(2)}`;

export function printComparison(report: ComparisonReport): void {
  const { model, reference, data, count, seed, tokens } = report;
  print(`${model.name} against ${reference.name}, ${data.set} (${data.split}, ${data.size} px)`);
  if (tokens) {
    print(`${tokens.tokens} true tokens of ${tokens.pictures} pictures:`);
    print(`  same likeliest code ${percent(tokens.agreement)}`);
    print(
      `  by side ${tokens.scales.map(({ side, agreement }) => `${side}: ${percent(agreement)}`).join(", ")}`,
    );
    const { loss } = tokens;
    print(
      `  KL ${tokens.divergence.toPrecision(3)} nats; loss ${loss.model.toFixed(4)} against ${loss.reference.toFixed(4)}`,
    );
  }
  print(`${count} pictures each from the same noise, seed ${seed}:`);
  print(
    `  ${report.sameDrawn === undefined ? "" : `same tokens ${percent(report.sameDrawn)}; `}pixels differ by ${report.pixelDifference.toFixed(2)} of 255`,
  );
  for (const { name, sha256, between, otherNoise, model: own, reference: other } of report.features) {
    print(`  ${name} (sha256 ${sha256.slice(0, 12)}): Fréchet distance between them ${distance(between)};`);
    print(`    other noise alone ${distance(otherNoise)};`);
    print(`    to held-out pictures ${distance(own)} against ${distance(other)}`);
  }
}
