/** `nextx bench sample-once MODEL`: one model in this process, which is what its peak memory belongs to. */
import { openDevice } from "../../runtime/device.node.ts";
import { measureSampling, type SampleTimes } from "../../sampleTimes.node.ts";
import { usualModel } from "./benchModel.ts";
import { benchSettings } from "./settings.ts";
import type { Bench } from "./types.ts";

export const sampleOnceBench: Bench = async (flags) => {
  const { model: name = usualModel, steps: runs = 5, signal } = flags;
  const settings = await benchSettings({ ...flags, model: name });
  const device = await openDevice(flags);
  const times = await measureSampling(name, device, runs, { ...settings, ...(signal && { signal }) });
  return { device, numbers: { model: name, ...times }, lines: timeLines(times) };
};

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

/** For people. */
export function timeLines({
  loadMs,
  firstPreviewMs,
  firstPictureMs,
  counts,
  peakOneBytes,
  peakBytes,
}: SampleTimes): string[] {
  const [one, eight] = counts;
  const oneMs = one?.medianMs ?? 0;
  const many = eight
    ? `8 pictures ${eight.medianMs.toFixed(0)} ms: ${(eight.medianMs / oneMs).toFixed(2)} times one`
    : "8 pictures have no room in memory";
  return [
    `1 picture ${oneMs.toFixed(0)} ms, ${many}`,
    `first preview after ${firstPreviewMs.toFixed(0)} ms; read in ${loadMs.toFixed(0)} ms, first picture ${firstPictureMs.toFixed(0)} ms later`,
    `peak memory ${megabytes(peakOneBytes)} after one picture, ${megabytes(peakBytes)} after eight`,
  ];
}
