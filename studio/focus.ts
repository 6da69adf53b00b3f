/** Buttons that remove themselves: whoever uses the keyboard goes on where they were. */
import { tick } from "svelte";

/** Does the work of a button; when the button is gone after it, its surroundings get the focus. */
export async function keepFocus(event: Event, work: () => unknown): Promise<void> {
  const around: HTMLElement[] = [];
  for (let at = event.currentTarget as HTMLElement | null; at; at = at.parentElement) around.push(at); // a button's
  await work();
  await tick();
  if (document.activeElement !== document.body && document.activeElement !== null) return;
  const place = around.find((element) => element.isConnected);
  const next = place?.querySelector<HTMLElement>(
    "a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), [tabindex='0']",
  );
  next?.focus();
}
