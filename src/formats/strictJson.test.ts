import fc from "fast-check";
import { expect, test } from "vitest";
import { isJsonObject, JsonNumber, jsonInteger, parseStrictJson, type StrictJson } from "./strictJson.ts";
import { codeOf } from "./testing/hostile.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Plain JavaScript values, for comparison with JSON.parse. */
function plain(value: StrictJson): unknown {
  if (value instanceof JsonNumber) return value.value;
  if (isJsonObject(value)) return Object.fromEntries([...value].map(([key, item]) => [key, plain(item)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

test("reads what JSON.parse reads", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 8 }), fc.constantFrom(0, 1, 3), (text, indent) => {
      const spaced = JSON.stringify(JSON.parse(text), null, indent);
      expect(plain(parseStrictJson(bytes(spaced)))).toEqual(JSON.parse(spaced));
    }),
  );
});

test("reads nothing that JSON.parse refuses", async () => {
  const alphabet = fc.constantFrom(...'{}[]:,"\\ \n0123456789.eE+-truefalsnu/\u0000\u00e9');
  await fc.assert(
    fc.asyncProperty(fc.array(alphabet, { maxLength: 12 }), async (letters) => {
      const text = letters.join("");
      if ((await codeOf(() => parseStrictJson(bytes(text)))) === "ok") JSON.parse(text);
    }),
    { numRuns: 3000 },
  );
});

test.each([
  ["", "JSON_SYNTAX"],
  ["  ", "JSON_SYNTAX"],
  ["{}{}", "JSON_SYNTAX"],
  ["\ufeff{}", "JSON_SYNTAX"],
  ['{"a":1,}', "JSON_SYNTAX"],
  ["[1,]", "JSON_SYNTAX"],
  ["{a:1}", "JSON_SYNTAX"],
  ["[01]", "JSON_SYNTAX"],
  ["[+1]", "JSON_SYNTAX"],
  ["[.5]", "JSON_SYNTAX"],
  ["[NaN]", "JSON_SYNTAX"],
  ["tru", "JSON_SYNTAX"],
  [`[${"1".repeat(65)}]`, "JSON_SYNTAX"],
  ['"a\nb"', "JSON_SYNTAX"],
  ['"\\x"', "JSON_SYNTAX"],
  ['"\\u12g4"', "JSON_SYNTAX"],
  ['"\\ud800"', "JSON_SYNTAX"],
  ['"open', "JSON_SYNTAX"],
  ['"open\\', "JSON_SYNTAX"],
  ['{"a":1,"\\u0061":2}', "JSON_DUPLICATE_KEY"],
  [`${"[".repeat(65)}`, "JSON_TOO_DEEP"],
  [`${'{"a":'.repeat(100_000)}`, "JSON_TOO_DEEP"],
])("refuses %j", async (text, code) => {
  expect(await codeOf(() => parseStrictJson(bytes(text)))).toBe(code);
});

test("refuses text that is not UTF-8 and too many values", async () => {
  const broken = Uint8Array.of(0x22, 0xc3, 0x28, 0x22);
  const overlong = Uint8Array.of(0x22, 0xc0, 0x80, 0x22);
  expect(await codeOf(() => parseStrictJson(broken))).toBe("JSON_NOT_UTF8");
  expect(await codeOf(() => parseStrictJson(overlong))).toBe("JSON_NOT_UTF8");
  expect(await codeOf(() => parseStrictJson(bytes("[1,2,3]"), { maxValues: 3 }))).toBe("JSON_TOO_LARGE");
  expect(await codeOf(() => parseStrictJson(bytes("[1,2,3]"), { maxValues: 4 }))).toBe("ok");
});

test("refuses objects with too many members", async () => {
  const members = bytes('{"a":1,"b":2}');
  expect(await codeOf(() => parseStrictJson(members, { maxMembers: 1 }))).toBe("JSON_TOO_LARGE");
  expect(await codeOf(() => parseStrictJson(members, { maxMembers: 2 }))).toBe("ok");
});

test("long and non-ASCII strings", () => {
  const text = `${"x".repeat(100)}\u00e9\u{1f600}`;
  expect(parseStrictJson(bytes(JSON.stringify(text)))).toBe(text);
  expect(parseStrictJson(bytes(`"${text}\\n${text}"`))).toBe(`${text}\n${text}`);
});

test("escapes of every kind, in both cases, thousands in one string", () => {
  const text = Array.from({ length: 5_000 }, (_, i) => String.fromCharCode(i)).join("");
  const escaped = [...text].map((c) => c.charCodeAt(0).toString(16).padStart(4, "0"));
  for (const spelled of [escaped, escaped.map((digits) => digits.toUpperCase())])
    expect(parseStrictJson(bytes(`"\\u${spelled.join("\\u")}"`))).toBe(text);
  expect(parseStrictJson(bytes('"\\b\\f\\/\\u0041"'))).toBe("\b\f/A");
  const mixed = `"${"\\nab\\ud83d\\ude00\u00e9".repeat(7001)}"`;
  expect(parseStrictJson(bytes(mixed))).toBe(JSON.parse(mixed));
});

test("keys are only keys; surrogate pairs and byte order marks inside strings stay", () => {
  const parsed = parseStrictJson(bytes('{"__proto__":{"a":1},"\\ud83d\\ude00":"\ufeff"}'));
  expect(isJsonObject(parsed) && [...parsed.keys()]).toEqual(["__proto__", "\u{1f600}"]);
  expect(isJsonObject(parsed) && parsed.get("\u{1f600}")).toBe("\ufeff");
  expect(({} as { a?: number }).a).toBeUndefined();
});

test.each([
  ["0", 0],
  ["-7", -7],
  ["9007199254740991", 2 ** 53 - 1],
  ["9007199254740992", undefined],
  ["9007199254740993", undefined],
  ["99999999999999999999", undefined],
  ["1.0", undefined],
  ["1e2", undefined],
  ["-0", undefined],
  ['"1"', undefined],
  ["null", undefined],
])("%s asked for as an integer", (text, value) => {
  expect(jsonInteger(parseStrictJson(bytes(text)))).toBe(value);
});

test("an array may have as many items as allowed", async () => {
  const read = (text: string) => codeOf(() => parseStrictJson(bytes(text), { maxItems: 2 }));
  expect([await read("[[1,2],[]]"), await read("[[1,2,3]]")]).toEqual(["ok", "JSON_LONG_ARRAY"]);
});
