/** `nextx forecast FILE`: continues the series of a long table (unique_id, ds, y); tests itself on their last rows. */
import type { Command } from "commander";
import { decodeTable } from "../../data/series/csv.ts";
import { type LongTable, writeLongTable } from "../../data/series/longTable.ts";
import { renderForecastPage } from "../../evaluate/forecast/forecastPage.ts";
import { forecastLimits } from "../../evaluate/forecast/limits.ts";
import { type ForecastResult, forecast, forecastMethods } from "../../forecast.node.ts";
import { forecastWithModel } from "../../forecastWithModel.node.ts";
import { shellWord } from "../../formats/shellWord.ts";
import { formatNumber } from "../../regimen/runReportChart.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { addDeviceFlags, type DeviceFlags, deviceOptions } from "../deviceFlags.ts";
import { readUserFile, requireApart, requireReplaceable, writeOutput } from "../files.ts";
import { decimal, integer } from "../numbers.ts";
import { interruptSignal, ProgressLine, print, printJson, shortened } from "../output.ts";

interface Flags extends DeviceFlags {
  readonly out: string;
  readonly page?: string;
  readonly method: string;
  readonly model?: string;
  readonly horizon: number;
  readonly context?: number;
  readonly season?: number;
  readonly backtest: number;
  readonly quantiles?: readonly number[];
  readonly seed: number;
  readonly epochs: number;
  readonly force?: boolean;
}

/** Levels between 0 and 1, rising. */
function levels(text: string): readonly number[] {
  const all = text.split(",").map((level) => decimal(...forecastLimits.levels)(level));
  return [...new Set(all)].sort((a, b) => a - b);
}

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  const methods = [...forecastMethods.keys()].join(", ");
  addDeviceFlags(command)
    .argument("<file>", "CSV with the columns unique_id, ds and y")
    .requiredOption("--horizon <rows>", "rows to forecast", integer(1, forecastLimits.rows))
    .option("--out <file>", "table of forecasts, same columns", "forecast.csv")
    .option("--page <file>", "page with plots and back-tests (HTML)")
    .option("--method <name>", `one of ${methods}`, "nlinear")
    .option("--model <run>", "instead of a method: a forecaster that was trained on these series")
    .option("--context <rows>", "rows looked back on", integer(1, forecastLimits.rows))
    .option("--season <rows>", "rows of a season", integer(1, forecastLimits.rows))
    .option(
      "--backtest <count>",
      "forecasts of known rows to measure, one horizon apart",
      integer(0, forecastLimits.backtests),
      0,
    )
    .option(
      "--quantiles <levels>",
      "columns of quantiles, such as 0.1,0.9, from the back-tests' errors",
      levels,
    )
    .option("--seed <n>", "seed of training", integer(0, Number.MAX_SAFE_INTEGER), 0)
    .option("--epochs <n>", "rounds of 60 steps, at most", integer(1, forecastLimits.epochs), 10)
    .option("--force", "replace files that are there")
    .option("--json", "machine output")
    .action(async (file: string, flags: Flags) => {
      requireApart(flags.out, { "series themselves": file });
      if (flags.page !== undefined)
        requireApart(flags.page, { "series themselves": file, forecasts: flags.out });
      if (flags.quantiles && flags.backtest === 0 && flags.model === undefined)
        throw new NextxError("FORECAST_FEW_ERRORS", "Quantiles come from the errors of back-tests.", {
          path: "quantiles",
          hint: "Pass --backtest 10, or as many as the series have rows for.",
        });
      for (const path of [flags.out, flags.page])
        if (path !== undefined) requireReplaceable(path, flags.force === true);
      const progress = new ProgressLine();
      const text = decodeTable(readUserFile(file), file);
      if (flags.model !== undefined) {
        const chosen = ["method", "context", "season", "seed", "epochs", "quantiles"];
        const other = chosen.find((name) => command.getOptionValueSource(name) === "cli");
        if (other) throw trainedAlready(flags.model, `--${other} does not go with --model.`);
        return await byModel(text, file, flags.model, flags, json);
      }
      const result = await forecast(text, file, {
        ...deviceOptions(flags),
        ...{ method: flags.method, horizon: flags.horizon, seed: flags.seed, epochs: flags.epochs },
        backtests: flags.backtest,
        ...(flags.quantiles && { quantiles: flags.quantiles }),
        ...(flags.context !== undefined && { context: flags.context }),
        ...(flags.season !== undefined && { season: flags.season }),
        signal: interruptSignal(),
        onEpoch: (method, { epoch, trainLoss, validationMse }) =>
          progress.update(
            `${method}: round ${epoch}, loss ${formatNumber(trainLoss)}, held out ${formatNumber(validationMse)}`,
          ),
      }).finally(() => progress.end());
      await writeFiles(result, flags);
      report(result, flags, json);
    });
}

const trainedAlready = (model: string, message: string): NextxError =>
  new NextxError("CLI_MODEL_IS_TRAINED", message, { hint: `nextx eval ${shellWord(model)}` });

/** With a forecaster that is there; `nextx eval` measures it. */
async function byModel(
  text: string,
  file: string,
  model: string,
  flags: Flags,
  json: boolean,
): Promise<void> {
  if (flags.page !== undefined || flags.backtest > 0)
    throw trainedAlready(model, "With --model there is no page and no back-test.");
  const { horizon, out } = flags;
  const {
    table,
    system,
    context,
    forecast: rows,
  } = await forecastWithModel(text, file, {
    ...deviceOptions(flags),
    ...{ model, horizon },
  });
  await writeOutput(out, new TextEncoder().encode(writeLongTable(rows, table.form)));
  if (json)
    return printJson({ model, system, series: rows.length, horizon, context, notices: table.notices, out });
  print(
    `${rows.length} series, ${horizon} rows each by ${system} (${model}) from the last ${context}: ${out}`,
  );
  tellNotices(table);
}

/** Most notices that are written out. */
const mostNotices = 20;

function tellNotices({ notices }: LongTable): void {
  for (const { code, series } of notices.slice(0, mostNotices))
    print(`notice ${code}: series "${shortened(series)}" does not change`);
  if (notices.length > mostNotices) print(`... and ${notices.length - mostNotices} more; --json has all`);
}

async function writeFiles(
  result: ForecastResult,
  { out, page, horizon, seed, epochs, backtest }: Flags,
): Promise<void> {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const columns = (series: number) =>
    new Map((result.quantiles[series] ?? []).map(({ level, values }) => [`q${level}`, values]));
  await writeOutput(out, bytes(writeLongTable(result.forecast, result.table.form, columns)));
  if (page === undefined) return;
  const { context, season, method } = result;
  const recipe = `method ${method}, horizon ${horizon}, context ${context}, season ${season}, back-tests ${backtest}, seed ${seed}, rounds ${epochs} at most`;
  await writeOutput(page, bytes(renderForecastPage({ ...result, recipe })));
}

function report(
  { table, context, season, backtests, method }: ForecastResult,
  { out, page, horizon }: Flags,
  json: boolean,
): void {
  const errors = Object.fromEntries(backtests.map((one) => [one.method, one.errors]));
  if (json) {
    printJson({
      method,
      series: table.series.length,
      horizon,
      context,
      season,
      errors,
      notices: table.notices,
      out,
      page,
    });
    return;
  }
  print(
    `${table.series.length} series, ${horizon} rows each by ${method} from the last ${context} (season ${season}): ${out}`,
  );
  if (page !== undefined) print(`page: ${page}`);
  tellNotices(table);
  for (const [name, { mae, rmse, smape, mase }] of Object.entries(errors)) {
    const scaled = mase === undefined ? "–" : formatNumber(mase);
    print(
      `  ${name.padEnd(16)} MAE ${formatNumber(mae)}, RMSE ${formatNumber(rmse)}, sMAPE ${formatNumber(smape)}, MASE ${scaled}`,
    );
  }
}
