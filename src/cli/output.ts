/** What the command line prints: errors with code and hint, one progress line, JSON lines for machines. */
import { styleText } from "node:util";
import { NextxError } from "../tensor/errors.ts";

/** 1: it failed; 2: the command line is wrong; 130: interrupted. */
export const exitCodes = { failed: 1, usage: 2, interrupted: 130 } as const;

const isTerminal = (): boolean => process.stderr.isTTY === true;

/** Codes of errors in what the user wrote, as opposed to what happened. */
const usageCodes =
  /^(CONFIG_|SAMPLING_|LABEL_|RANDOM_BAD_SEED|RECIPE_UNKNOWN|SYSTEM_UNKNOWN|SYSTEM_OTHER_TASK|FORECAST_|CLI_|EDIT_BAD_BOX|EDIT_BAD_MASK|SCHEDULE_|PLAN_BAD_SCHEDULE|DYNAMICS_|CLAIM_UNKNOWN|ARENA_UNKNOWN|DATA_UNKNOWN_SET$|DATA_BAD_|EXPORT_UNKNOWN_GRAPH$|HUB_BAD_NAME$|DEVICE_UNKNOWN|QUANTIZE_UNKNOWN_KIND|COMPARE_|BENCH_UNKNOWN_SIZE)/;

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof NextxError)) return exitCodes.failed;
  if (error.code === "ABORTED") return exitCodes.interrupted;
  return usageCodes.test(error.code) ? exitCodes.usage : exitCodes.failed;
}

/**
 * Text that may come from files, for a terminal: control characters are written as `\xNN`, except line ends and tabs.
 * Colours are added after it.
 */
export function visible(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, (control) => `\\x${hex(control, 2)}`);
}

const hex = (character: string, digits: number): string =>
  character.charCodeAt(0).toString(16).padStart(digits, "0");

/** Most characters of a text that may come from a file. */
const mostShown = 1000;

/** A text's start, where it is long. */
export const shortened = (text: string): string =>
  text.length > mostShown ? `${text.slice(0, mostShown)}… (${text.length} characters)` : text;

/** An error for people on stderr, or as JSON on stdout. */
export function printError(error: unknown, json: boolean): void {
  if (!(error instanceof NextxError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (json) printJson({ error: { code: "INTERNAL", message: text } });
    else process.stderr.write(`nextx: this is a defect of nextx.\n${visible(text)}\n`);
    return;
  }
  const { code, message, path, hint } = error;
  if (json) {
    printJson({ error: { code, message, path, hint } });
    return;
  }
  const colour = (style: "red" | "dim", text: string) =>
    isTerminal() ? styleText(style, visible(text)) : visible(text);
  const where = path === undefined || message.includes(path) ? "" : colour("dim", ` (at ${shortened(path)})`);
  process.stderr.write(`${colour("red", `error ${code}`)}: ${visible(shortened(message))}${where}\n`);
  if (hint !== undefined) process.stderr.write(`  ${visible(shortened(hint))}\n`);
}

/** One line of JSON; the control characters that JSON leaves as they are are escaped too. */
export function printJson(value: unknown): void {
  const text = JSON.stringify(value).replace(/\p{Cc}/gu, (control) => `\\u${hex(control, 4)}`);
  process.stdout.write(`${text}\n`);
}

/** Text for people; what would control their terminal is made visible. */
export function print(text: string): void {
  process.stdout.write(`${visible(text)}\n`);
}

/** Lines with colour codes of our own; never text from a file. */
export function printColoured(lines: string): void {
  process.stdout.write(`${lines}\n`);
}

/** One line that is rewritten on a terminal; elsewhere a plain line now and then. Goes to stderr. */
export class ProgressLine {
  readonly #plainEveryMs: number;
  #lastMs = Number.NEGATIVE_INFINITY;
  #shown = false;

  constructor(plainEveryMs = 10_000) {
    this.#plainEveryMs = plainEveryMs;
  }

  update(given: string, isLast = false): void {
    const text = visible(given);
    const now = performance.now();
    const period = isTerminal() ? 80 : this.#plainEveryMs;
    if (!isLast && now - this.#lastMs < period) return;
    this.#lastMs = now;
    if (!isTerminal()) {
      process.stderr.write(`${text}\n`);
      return;
    }
    const width = process.stderr.columns || 80;
    process.stderr.write(`\r\u001b[2K${text.length < width ? text : `${text.slice(0, width - 2)}…`}`);
    this.#shown = true;
  }

  /** Leaves the line alone from here on. */
  end(): void {
    if (this.#shown) process.stderr.write("\n");
    this.#shown = false;
  }
}

/** "2 h 5 min", "3 min", "12 s". */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Resident memory as text. */
export function memoryText(): string {
  return `${Math.round(process.memoryUsage.rss() / 2 ** 20)} MB`;
}

/** A signal that aborts on Ctrl-C or SIGTERM; a second Ctrl-C ends the process at once. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return controller.signal;
}

/** Ends this process when the one that started it with a channel is gone, at once: nobody waits for what it computes. */
export function endWithParent(): void {
  const end = () => process.kill(process.pid, "SIGKILL"); // an exit while the runtime computes aborts noisily
  if (process.connected === false) end(); // it was there and is not
  process.on("disconnect", end);
  process.channel?.unref(); // a command that is done does not wait for it
}
