/** Following what happens: order, the last event, and who does not listen. */
import { expect, it } from "vitest";
import { Listeners, mostWaiting } from "./listeners.ts";

it("gives what was before, then what is told, until the last", async () => {
  const listeners = new Listeners<number>();
  const got: number[] = [];
  const following = (async () => {
    const signal = new AbortController().signal;
    for await (const event of listeners.follow(
      () => [1, 2],
      (event) => event === 4,
      signal,
    ))
      got.push(event);
  })();
  await new Promise((resolve) => setTimeout(resolve, 1));
  for (const event of [3, 4, 5]) listeners.tell(event);
  await following;
  expect(got).toEqual([1, 2, 3, 4]);
});

it("leaves one that takes nothing, and keeps no more for it", async () => {
  const listeners = new Listeners<number>();
  const { signal } = new AbortController();
  const slow = listeners.follow(
    () => [0],
    () => false,
    signal,
  );
  expect((await slow.next()).value).toBe(0);
  for (let event = 1; event <= mostWaiting + 10; event++) listeners.tell(event);
  expect(await slow.next()).toEqual({ done: true, value: undefined });
});
