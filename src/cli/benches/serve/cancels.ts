/** H3: clients that go away: the work stops within a step, and nothing stays behind. */
import { type Goal, type LoadSize, percentile, rounded } from "./goal.ts";
import { ask, metric, openFiles, pause, residentMb, type Target, untilIdle } from "./target.ts";

/** Many pictures, so that there is something to stop. */
const large = { count: 32, previews: true };

/** Longest time between two previews: a model step with its decoding. */
async function longestStepMs(target: Target): Promise<number> {
  const response = await ask(target, 1, large);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let [last, longest, isFirst] = [0, 0, true];
  for (;;) {
    const next = await reader?.read();
    if (next === undefined || next.done) return longest;
    if (!next.value.includes("event: preview") && !next.value.includes("event: finished")) continue;
    const now = performance.now();
    if (!isFirst) longest = Math.max(longest, now - last);
    [last, isFirst] = [now, false];
  }
}

/** Leaves after the first preview; milliseconds until nothing runs any more. */
async function leaveMs(target: Target, seed: number): Promise<number> {
  const controller = new AbortController();
  const response = await ask(target, seed, large, controller.signal);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; !text.includes("event: preview"); ) {
    const next = await reader?.read();
    if (next === undefined || next.done) break;
    text += next.value;
  }
  const startMs = performance.now();
  controller.abort();
  await reader?.cancel().catch(() => undefined); // it was aborted
  while ((await metric(target, "nextx_num_requests_running")) > 0) await pause(2);
  return performance.now() - startMs;
}

/** Leaves at once, or while it waits. */
async function leaveEarly(target: Target, seed: number): Promise<void> {
  const controller = new AbortController();
  const asked = ask(target, seed, {}, controller.signal).then((response) => response.text());
  await pause(seed % 7);
  controller.abort();
  await asked.catch(() => undefined); // it was aborted
}

export async function cancels(target: Target, { cancels: count }: LoadSize): Promise<Goal> {
  const stepMs = await longestStepMs(target);
  const late: number[] = [];
  for (let i = 0; i < Math.min(50, count); i++) late.push(await leaveMs(target, i));
  for (let i = 0; i < 200; i += 20)
    await Promise.all(Array.from({ length: 20 }, (_, k) => leaveEarly(target, i + k)));
  await untilIdle(target);
  const [filesBefore, memoryBefore] = [openFiles(target.pid), residentMb(target.pid)];
  for (let i = 0; i < count; i += 20)
    await Promise.all(Array.from({ length: 20 }, (_, k) => leaveEarly(target, i + k)));
  await untilIdle(target);
  await pause(6000); // idle connections are closed
  const [files, memory] = [openFiles(target.pid), residentMb(target.pid)];
  const left =
    (await metric(target, "nextx_num_requests_running")) +
    (await metric(target, "nextx_num_requests_waiting"));
  const worst = Math.max(...late);
  return {
    id: "H3",
    text: `${count} clients that leave: the work ends within a step and 100 ms; no request, file or socket stays`,
    holds: worst <= stepMs + 100 && left === 0 && !(files > filesBefore + 2),
    figures: {
      longestStepMs: rounded(stepMs),
      endedP50Ms: rounded(percentile(late, 0.5)),
      endedWorstMs: rounded(worst),
      requestsLeft: left,
      openFilesBefore: filesBefore,
      openFilesAfter: files,
      memoryBeforeMb: rounded(memoryBefore),
      memoryAfterMb: rounded(memory),
    },
  };
}
