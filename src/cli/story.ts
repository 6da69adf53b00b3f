/** SAR's story on a terminal: live curves while the base is refined, pictures of all models, a table of what was measured. */

import { thinned } from "../evaluate/thinned.ts";
import type { EvaluationReport } from "../evaluate.node.ts";
import {
  type ComparedEvent,
  type HeldOutEvent,
  refinementStory,
  type StoryEvent,
  type StoryOptions,
  storySettings,
} from "../refinementStory.node.ts";
import type { StoryRole } from "../storyModels.ts";
import { requirePictureReplaceable, writeOutput } from "./files.ts";
import { duration, ProgressLine, print, printColoured, printJson } from "./output.ts";
import { sparkline } from "./sparkline.ts";
import { type PicturesEvent, storyPng, terminalRow } from "./storyPictures.ts";
import { showsImages } from "./terminalImage.ts";

const titles: Readonly<Record<StoryRole, string>> = {
  base: "base",
  control: "trained on as before",
  refined: "refined on itself (SAR)",
};

/** Where the pictures go, and how it is told. */
export interface TellOptions {
  /** PNG with a row of pictures per model. */
  readonly out: string;
  /** Replaces a file that nextx did not make. */
  readonly force: boolean;
  readonly json: boolean;
  /** Of nextx. */
  readonly version: string;
}

/** Runs it. @throws NextxError FILE_EXISTS, MODEL_ codes, ABORTED */
export async function tellStory(options: StoryOptions, told: TellOptions): Promise<void> {
  requirePictureReplaceable(told.out, told.force);
  const rows: PicturesEvent[] = [];
  const teller = told.json ? jsonTeller(told.out) : new Teller();
  for await (const event of refinementStory(options)) {
    if (event.kind === "pictures") {
      rows.push(event);
      await writeOutput(told.out, storyPng(rows, told.version));
    }
    teller.tell(event);
  }
  teller.end(told.out);
}

/** Events as lines of JSON; pictures by the path of the file that has them. */
const jsonTeller = (path: string) => ({
  tell(event: StoryEvent): void {
    if (event.kind === "pictures") {
      const { pixels: _, size: __, ...rest } = event;
      printJson({ ...rest, path });
    } else printJson(event);
  },
  end: (): void => undefined,
});

/** Events for people. */
class Teller {
  readonly #line = new ProgressLine();
  readonly #reports = new Map<StoryRole, EvaluationReport>();
  #looks: HeldOutEvent[] = [];
  #compared: ComparedEvent | undefined;

  constructor() {
    print("Self-autoregressive refinement: a finished model learns to stay good on its own predictions.\n");
  }

  tell(event: StoryEvent): void {
    switch (event.kind) {
      case "preparing":
        this.#endRefining();
        this.#line.update(event.text);
        break;
      case "step":
        break;
      case "held-out":
        this.#looks.push(event);
        this.#line.update(liveText(this.#looks));
        break;
      case "pictures":
        this.#showPictures(event);
        break;
      case "measured":
        this.#reports.set(event.role, event.report);
        break;
      case "compared":
        this.#compared = event;
        break;
      default:
        event satisfies never;
    }
  }

  /** What the refining did, once, when something else begins. */
  #endRefining(): void {
    const text = refinedText(this.#looks);
    if (text === undefined) return;
    this.#looks = [];
    this.#line.end();
    print(`${text}\n`);
  }

  #showPictures(event: PicturesEvent): void {
    if (!showsImages()) return;
    this.#line.end();
    print(`${titles[event.role]}:`);
    printColoured(terminalRow(event, process.stdout.columns));
  }

  end(out: string): void {
    this.#line.end();
    print(
      `${out}: a row of pictures each of ${Object.values(titles).join(", ")}; the same classes and noise\n`,
    );
    showTable(this.#reports);
    if (this.#compared) print(verdict(this.#compared));
  }
}

const percent = (share: number): string => (100 * share).toFixed(1);

/** The newest look beside the curves of all. */
function liveText(looks: readonly HeldOutEvent[]): string {
  const last = looks.at(-1);
  if (last === undefined) return "";
  const curve = (of: (look: HeldOutEvent) => number) => sparkline(thinned(looks.map(of), 20));
  return (
    `refining ${duration(last.elapsedMs)}, ${last.step} steps  KL after one step of its own ` +
    `${last.divergence.toFixed(3)} ${curve(({ divergence }) => divergence)}  ` +
    `agreement ${percent(last.agreement)} % ${curve(({ agreement }) => agreement)}`
  );
}

/** What refining did, by the first and the last look at the same pictures; undefined for fewer than two. */
export function refinedText(looks: readonly HeldOutEvent[]): string | undefined {
  const [first, last] = [looks[0], looks.at(-1)];
  if (first === undefined || last === undefined || first === last) return undefined;
  return (
    `A taste of refining, ${last.step} steps, on ${last.pictures} held-out pictures. After one step of its own: ` +
    `KL to the true past ${first.divergence.toFixed(3)} to ${last.divergence.toFixed(3)} nats, agreement ` +
    `${percent(first.agreement)} to ${percent(last.agreement)} %; the price: loss on the true past ` +
    `${first.loss.toFixed(3)} to ${last.loss.toFixed(3)}.`
  );
}

function showTable(reports: ReadonlyMap<StoryRole, EvaluationReport>): void {
  const [any] = reports.values();
  const [network] = any?.features ?? [];
  if (any === undefined || network === undefined) return;
  const settings = Object.entries(storySettings).map(([name, value]) => `${name} ${value}`);
  print(
    `Measured now, ${any.count} samples each from the same noise, without guidance (${settings.join(", ")}), ${network.name}:`,
  );
  for (const [role, report] of reports) {
    const { distance, standardError } = report.features[0]?.frechet ?? { distance: 0, standardError: 0 };
    const valid = report.validity ? `, ${percent(report.validity.rate)} % keep all rules` : "";
    print(
      `  ${titles[role].padEnd(24)} Fréchet distance ${distance.toFixed(2)} ± ${standardError.toFixed(2)}${valid}`,
    );
  }
}

/** Standard errors within which a change may be chance. */
const withinChance = 2;

/** What was measured beside what the claim measured with the same settings, and whether the signs agree. */
export function verdict({ change, standardError, recorded }: ComparedEvent): string {
  const signed = (value: number) => `${value > 0 ? "+" : ""}${percent(value)} %`;
  const told = `Refined against trained on: ${signed(change)}`;
  if (recorded === undefined) return `${told}.`;
  const both = `${told}; the claim measured ${signed(recorded)} without guidance, mean over its seeds`;
  if (Math.abs(change) < withinChance * standardError)
    return `${both}. So few samples leave ± ${percent(standardError)} points to chance: --samples 2000 says more.`;
  return `${both}${Math.sign(recorded) === Math.sign(change) ? "." : ": THE SIGN DIFFERS."}`;
}
