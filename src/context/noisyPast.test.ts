import { expect, it } from "vitest";
import { cellPlan } from "../plan/entities.ts";
import { scalePlan } from "../plan/scales.ts";
import { noisyPasts, trainingOrder } from "./noisyPast.ts";

it("keeps, sorts or turns round the times of a picture", () => {
  const draws = [0.5, 0.9, 0.1];
  expect(noisyPasts.random.times(draws)).toEqual(draws);
  expect(noisyPasts.clean.times(draws)).toEqual(draws);
  expect(noisyPasts.increasing.times(draws)).toEqual([0.1, 0.5, 0.9]);
  expect(noisyPasts.decreasing.times(draws)).toEqual([0.9, 0.5, 0.1]);
  expect(draws).toEqual([0.5, 0.9, 0.1]);
});

it("a clean copy comes before the noisy groups, which see it up to their own place", () => {
  const order = trainingOrder(noisyPasts.clean, scalePlan([1, 2]));
  expect([...order.positions]).toEqual([0, 0, 1, 2, 3, 4]);
  expect([...order.groupOf]).toEqual([0, 1, 2, 2, 2, 2]);
  expect([order.clean, order.conditions]).toEqual([1, 3]);
  const hidden = order.visibility.hidden(order);
  const row = (query: number) => [...hidden.subarray(query * 6, query * 6 + 6)];
  expect(row(0)).toEqual([0, 1, 1, 1, 1, 1]); // clean 0 sees itself
  expect(row(1)).toEqual([1, 0, 1, 1, 1, 1]); // noisy 0 has no past
  for (const query of [2, 3, 4, 5]) expect(row(query)).toEqual([0, 1, 0, 0, 0, 0]);
});

it("of cells: noisy cell 2 sees clean cells 0 and 1", () => {
  const order = trainingOrder(noisyPasts.clean, cellPlan(2, 2)); // one site per cell: 3 clean, 4 noisy
  const hidden = order.visibility.hidden(order);
  expect([...hidden.subarray(5 * 7, 6 * 7)]).toEqual([0, 0, 1, 1, 1, 0, 1]);
  expect([...hidden.subarray(2 * 7, 3 * 7)]).toEqual([0, 0, 0, 1, 1, 1, 1]);
});

it("one group needs no copy", () => {
  const order = trainingOrder(noisyPasts.clean, cellPlan(2, 1));
  expect(order.length).toBe(4);
  expect(order.visibility.hidden(order).every((flag) => flag === 0)).toBe(true);
});

it("noisy context is one copy, block-causal", () => {
  const plan = scalePlan([1, 2]);
  const order = trainingOrder(noisyPasts.random, plan);
  expect([order.length, order.clean, order.conditions]).toEqual([5, 0, 2]);
  expect([...order.positions]).toEqual([0, 1, 2, 3, 4]);
  expect([...order.visibility.hidden(order)].slice(0, 10)).toEqual([0, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
});
