/** What reaches a terminal of text from files. */
import { stripVTControlCharacters } from "node:util";
import { afterEach, describe, expect, it, vi } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import { ProgressLine, print, printColoured, printError, printJson, visible } from "./output.ts";

/** Sets a terminal's title, in both ways of writing it. */
const attack = "a\u001b]0;owned\u0007\u009d0;owned\u009c\r\u007f\u0000b";
const shown = "a\\x1b]0;owned\\x07\\x9d0;owned\\x9c\\x0d\\x7f\\x00b";

function written(stream: "stdout" | "stderr", run: () => void): string {
  let text = "";
  const spy = vi.spyOn(process[stream], "write").mockImplementation((part) => {
    text += String(part);
    return true;
  });
  try {
    run();
  } finally {
    spy.mockRestore();
  }
  return text;
}

/** Without our own codes: colours and the progress line's. */
const withoutOurs = (text: string): string => stripVTControlCharacters(text).replace("\r", "");

describe.each([true, false])("on a terminal: %s", (isTerminal) => {
  const before = Object.getOwnPropertyDescriptor(process.stderr, "isTTY");
  const begin = () =>
    Object.defineProperty(process.stderr, "isTTY", { value: isTerminal, configurable: true });
  afterEach(() => {
    if (before) Object.defineProperty(process.stderr, "isTTY", before);
    else Reflect.deleteProperty(process.stderr, "isTTY");
  });

  it("errors show control characters", () => {
    begin();
    const error = new NextxError("X_BAD", `${attack} is bad.`, { path: `p${attack}`, hint: attack });
    const text = withoutOurs(written("stderr", () => printError(error, false)));
    expect(text).toBe(`error X_BAD: ${shown} is bad. (at p${shown})\n  ${shown}\n`);
    const defect = written("stderr", () => printError(new TypeError(attack), false));
    expect(defect).toContain(shown);
    expect(defect).not.toMatch(/(?!\n)\p{Cc}/u);
  });

  it("the progress line shows them", () => {
    begin();
    const text = written("stderr", () => new ProgressLine().update(attack));
    expect(withoutOurs(text).trim()).toBe(shown);
  });
});

it("plain text keeps its lines and tabs, and shows other control characters", () => {
  expect(visible("a\tb\n\u00e4 \u2026 \ud83d\ude00")).toBe("a\tb\n\u00e4 \u2026 \ud83d\ude00");
  expect(written("stdout", () => print(`${attack}\n\tnext`))).toBe(`${shown}\n\tnext\n`);
});

it("our own colours stay", () => {
  expect(written("stdout", () => printColoured("\u001b[31mred\u001b[0m"))).toBe("\u001b[31mred\u001b[0m\n");
});

it("JSON stays the same value without raw control characters", () => {
  const text = written("stdout", () => printJson({ name: attack }));
  expect(text.trimEnd()).not.toMatch(/\p{Cc}/u);
  expect(JSON.parse(text)).toEqual({ name: attack });
});
