import { expect, it } from "vitest";
import { parameterCount } from "../../nn/scope.ts";
import { median } from "./engine.ts";
import { sumKernels } from "./profile.node.ts";
import { convStep, transformerStep } from "./steps.ts";

it("medians are of odd and even counts", () => {
  expect([median([3, 1, 2]), median([4, 1, 3, 2])]).toEqual([2, 2.5]);
});

it("kernels are summed per step, others left out", () => {
  const event = (op_name: string, dur: number) => ({
    cat: "Node",
    name: "x_kernel_time",
    dur,
    args: { op_name },
  });
  const events = [
    event("Gemm", 3000),
    event("Add", 500),
    event("Gemm", 1000),
    { cat: "Session", name: "y", dur: 9 },
    null,
  ];
  expect(sumKernels(events, 2)).toEqual([
    { kernel: "Gemm", calls: 1, ms: 2, share: 2 / 2.25 },
    { kernel: "Add", calls: 1, ms: 0.25, share: 0.25 / 2.25 },
  ]);
});

it("a GPU's profile counts its shaders, not what asked for them", () => {
  const shader = (name: string, dur: number) => ({ cat: "Api", name, dur });
  const asked = { cat: "Node", name: "Add_1_kernel_time", dur: 900, args: { op_name: "Add" } };
  expect(
    sumKernels([shader("Gemm_1&Gemm&MatMulTile", 3000), asked, shader("Add_1&Add&Add", 1000)], 1),
  ).toEqual([
    { kernel: "MatMulTile", calls: 1, ms: 3, share: 0.75 },
    { kernel: "Add", calls: 1, ms: 1, share: 0.25 },
  ]);
});

it("the steps have the sizes of their PyTorch twins", () => {
  expect(parameterCount(transformerStep().parameters)).toBe(5_020_672);
  expect(parameterCount(convStep().parameters)).toBe(720_115);
});
