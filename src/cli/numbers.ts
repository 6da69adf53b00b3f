/** Number flags with limits. */
import { InvalidArgumentError } from "commander";

/** A parser of integers from `least` to `most`. */
export function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`It is an integer from ${least} to ${most}.`);
    return value;
  };
}

/** A parser of numbers from `least` to `most`. */
export function decimal(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It is a number from ${least} to ${most}`);
  };
}
