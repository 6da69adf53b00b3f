import { describe, expect, it } from "vitest";
import { RandomStream } from "../tensor/random.ts";
import { categorical, checkSampling, filteredProbabilities } from "./categorical.ts";

const logits = Float32Array.from([1, 3, 2, 3, -1]);
const plain = { topK: 0, topP: 0, temperature: 1 };

describe("filters", () => {
  it("keep ties of the k-th value, best first, lowest id first", () => {
    expect([...filteredProbabilities(logits, 1, 0).ids]).toEqual([1, 3]);
    expect([...filteredProbabilities(logits, 3, 0).ids]).toEqual([1, 3, 2]);
    expect([...filteredProbabilities(logits, 99, 1).ids]).toEqual([1, 3, 2, 0, 4]);
  });

  it("order any logits like a comparator, ties and both zeros by id", () => {
    const stream = RandomStream.from(3, "order");
    for (let round = 0; round < 50; round++) {
      const row = Float32Array.from({ length: 200 }, () => Math.round(8 * stream.normal()) / 2);
      row[7] = -0;
      row[8] = Number.NEGATIVE_INFINITY;
      row[9] = 1e38;
      row[10] = -1e-40;
      row[11] = Number.NaN; // never drawn
      const expected = [...row.keys()]
        .filter((id) => !Number.isNaN(row[id]))
        .sort((a, b) => (row[b] as number) - (row[a] as number) || a - b);
      expect([...filteredProbabilities(row, 0, 0).ids]).toEqual(expected);
      for (const k of [1, 2, 30, 198, 199, 200, 300]) {
        const last = row[expected[Math.min(k, expected.length) - 1] as number] as number; // both in range
        const kept = expected.filter((id) => (row[id] as number) >= last);
        expect([...filteredProbabilities(row, k, 0).ids]).toEqual(kept);
      }
    }
  });

  it("of top-p keep the best always and add up to one", () => {
    const { ids, probabilities } = filteredProbabilities(Float32Array.from([0, 10]), 0, 1e-6);
    expect([[...ids], [...probabilities]]).toEqual([[1], [1]]);
    const { probabilities: all } = filteredProbabilities(logits, 0, 0.9);
    expect(all.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
  });
});

describe("draws", () => {
  it("follow the softmax", () => {
    const stream = RandomStream.from(1, "draws");
    const counts = new Float64Array(5);
    for (let i = 0; i < 20_000; i++) {
      const id = categorical.sample(logits, plain, stream);
      counts[id] = (counts[id] as number) + 1;
    }
    counts.forEach((count, id) => {
      expect(count / 20_000).toBeCloseTo(Math.exp(categorical.logProb(logits, id)), 1);
    });
  });

  it("at temperature 0 or top-k 1 take the lowest best id; every draw takes one number", () => {
    const stream = RandomStream.from(1, "greedy");
    expect(categorical.sample(logits, { ...plain, temperature: 0 }, stream)).toBe(1);
    expect(categorical.sample(logits, { ...plain, topK: 1 }, stream)).toBe(1);
    const other = RandomStream.from(1, "greedy");
    other.uniform();
    other.uniform();
    expect(stream.state).toEqual(other.state);
  });

  it("refuse logits that are not numbers", () => {
    const stream = RandomStream.from(1, "nan");
    const bad = Float32Array.from([Number.NaN, Number.NaN]);
    expect(() => categorical.sample(bad, plain, stream)).toThrow(/no finite logit/);
  });

  it.each([{ topK: 1.5 }, { topK: -1 }, { topP: 1.5 }, { topP: -0.1 }, { temperature: Number.NaN }])(
    "refuse %j",
    (over) => {
      expect(() => checkSampling({ ...plain, ...over })).toThrow();
    },
  );
});
