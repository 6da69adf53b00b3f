import { describe, expect, it } from "vitest";
import { RandomStream, threefry2x32 } from "./random.ts";

const take = (stream: RandomStream, n: number): number[] => Array.from({ length: n }, () => stream.uint32());

describe("Threefry-2x32-20", () => {
  // Source: known-answer file of Random123 (Salmon et al. 2011).
  it.each([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0],
    ],
  ] as [number[], number[], number[]][])("key %j, counter %j", ([k0, k1], [c0, c1], words) => {
    const out = new Uint32Array(2);
    threefry2x32(k0 as number, k1 as number, c0 as number, c1 as number, out);
    expect([...out]).toEqual(words);
  });
});

describe("random streams", () => {
  it("are the same for the same seed and purpose, and differ otherwise", () => {
    expect(take(RandomStream.from(7, "x"), 5)).toEqual(take(RandomStream.from(7, "x"), 5));
    const firsts = new Set<number>();
    const seeds = [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
    for (const seed of seeds)
      for (const purpose of ["", "x", "y", "xy"]) firsts.add(RandomStream.from(seed, purpose).uint32());
    expect(firsts.size).toBe(seeds.length * 4);
  });

  it("continue after restore as if nothing had happened, at every position", () => {
    const whole = RandomStream.from(3, "restore");
    const words = take(whole, 12);
    for (let at = 0; at < 12; at++) {
      const stream = RandomStream.from(3, "restore");
      take(stream, at);
      const state = JSON.parse(JSON.stringify(stream.state)) as typeof stream.state;
      expect(take(RandomStream.restore(state), 12 - at)).toEqual(words.slice(at));
    }
  });

  it("reach positions beyond 2^33 words", () => {
    const { key } = RandomStream.from(3, "far").state;
    const [near, far] = [0, 2 ** 33].map((position) => take(RandomStream.restore({ key, position }), 2));
    expect(far).not.toEqual(near);
    const out = new Uint32Array(2);
    threefry2x32(key[0], key[1], 0, 1, out);
    expect(far).toEqual([...out]);
  });

  it("fork by name, whatever was drawn before, into streams that share nothing", () => {
    const parent = RandomStream.from(1, "fork");
    const before = take(parent.fork("child"), 4);
    take(parent, 3);
    expect(take(parent.fork("child"), 4)).toEqual(before);
    expect(take(parent.fork(12), 4)).toEqual(take(parent.fork("12"), 4));
    const streams = [
      parent,
      parent.fork(""),
      parent.fork("a"),
      parent.fork("ab"),
      parent.fork("a").fork("b"),
      parent.fork("ba"),
    ];
    const all = streams.flatMap((stream) =>
      take(RandomStream.restore({ ...stream.state, position: 0 }), 200),
    );
    expect(new Set(all).size).toBe(all.length);
  });

  it("are uniform: mean, variance, correlation, and bits", () => {
    const stream = RandomStream.from(5, "uniform");
    const u = Array.from({ length: 100_000 }, () => stream.uniform());
    const mean = u.reduce((a, b) => a + b) / u.length;
    const variance = u.reduce((a, b) => a + (b - mean) ** 2, 0) / u.length;
    const lag = u.slice(1).reduce((a, b, i) => a + (b - 0.5) * ((u[i] as number) - 0.5), 0) / u.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.004);
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.001);
    expect(Math.abs(lag)).toBeLessThan(0.0015);
    expect(u.every((v) => v >= 0 && v < 1)).toBe(true);
    const ones = Array.from({ length: 32 }, () => 0);
    for (const word of take(stream, 20_000)) {
      for (let bit = 0; bit < 32; bit++) ones[bit] = (ones[bit] as number) + ((word >>> bit) & 1);
    }
    for (const n of ones) expect(Math.abs(n / 20_000 - 0.5)).toBeLessThan(0.016);
  });

  it("are normal: four moments, scaled by std", () => {
    const x = RandomStream.from(6, "normal").normals(100_000, 2);
    const moment = (power: number) => x.reduce((a, b) => a + (b / 2) ** power, 0) / x.length;
    expect(Math.abs(moment(1))).toBeLessThan(0.013);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.018);
    expect(Math.abs(moment(3))).toBeLessThan(0.05);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.13);
    expect(x.every(Number.isFinite)).toBe(true);
  });

  it("are exponential: positive, mean and variance 1", () => {
    const x = RandomStream.from(6, "exponential").exponentials(50_000);
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    expect(Math.abs(mean - 1)).toBeLessThan(0.02);
    expect(Math.abs(x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length - 1)).toBeLessThan(0.05);
    expect(x.every((v) => v > 0)).toBe(true);
  });

  it("draw integers without bias and permutations of every order", () => {
    const stream = RandomStream.from(8, "integers");
    const counts = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < 30_000; i++) {
      const n = stream.integer(6);
      counts[n] = (counts[n] as number) + 1;
    }
    for (const n of counts) expect(Math.abs(n - 5000)).toBeLessThan(260);
    // n = 3 * 2^30: with a plain remainder half of the draws would fall below 2^30
    const low = Array.from({ length: 9000 }, () => stream.integer(3 * 2 ** 30)).filter(
      (v) => v < 2 ** 30,
    ).length;
    expect(Math.abs(low - 3000)).toBeLessThan(200);
    const orders = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const order = String([...stream.permutation(3)]);
      orders.set(order, (orders.get(order) ?? 0) + 1);
    }
    expect(orders.size).toBe(6);
    for (const n of orders.values()) expect(Math.abs(n - 1000)).toBeLessThan(120);
    expect(stream.integer(1)).toBe(0);
    expect(stream.integer(2 ** 32)).toBeLessThan(2 ** 32);
    expect([...stream.permutation(0)]).toEqual([]);
    expect([...stream.permutation(50)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
  });

  it("refuse seeds and ranges that are no integers", () => {
    for (const seed of [-1, 0.5, 2 ** 53, Number.NaN]) {
      expect(() => RandomStream.from(seed, "x")).toThrow(
        expect.objectContaining({ code: "RANDOM_BAD_SEED" }),
      );
    }
    const stream = RandomStream.from(0, "x");
    for (const n of [0, -1, 2.5, 2 ** 32 + 1, Number.NaN]) {
      expect(() => stream.integer(n)).toThrow(expect.objectContaining({ code: "RANDOM_BAD_RANGE" }));
    }
    for (const position of [-1, 0.5, Number.NaN]) {
      expect(() => RandomStream.restore({ key: [1, 2], position })).toThrow(
        expect.objectContaining({ code: "RANDOM_BAD_STATE" }),
      );
    }
  });
});
