/** Everything that can be done with a key or a button, once: buttons, keys and the list of keys derive from it. */
import { tick } from "svelte";
import { browserKeeper } from "./storage.ts";
import type { Studio } from "./studio.svelte.ts";

export interface Command {
  readonly id: string;
  readonly title: string;
  /** As `KeyboardEvent.key`; with `ctrl` also Command on a Mac. */
  readonly key: string;
  readonly ctrl?: boolean;
  /** Also while a field has the focus. */
  readonly inFields?: boolean;
  run(studio: Studio): void;
}

export const commands: readonly Command[] = [
  {
    id: "generate",
    title: "Generate",
    key: "Enter",
    ctrl: true,
    inFields: true,
    run: submit,
  },
  { id: "cancel", title: "Stop", key: "Escape", inFields: true, run: (studio) => studio.cancel() },
  {
    id: "dice",
    title: "New seed, and generate",
    key: "r",
    run: (studio) => {
      if (studio.isBusy) return;
      studio.newSeed();
      void tick().then(() => submit(studio)); // the field holds the new seed then
    },
  },
  {
    id: "compare",
    title: "Compare two sides on the same noise",
    key: "c",
    run: (studio) => studio.toggleComparison(),
  },
  { id: "earlier", title: "One scale back", key: "ArrowLeft", run: (studio) => step(studio, -1) },
  { id: "later", title: "One scale on", key: "ArrowRight", run: (studio) => step(studio, 1) },
];

const lettersKey = "nextx-letter-keys";

/** Whether single letters do something: speech input and stray keys need a way to switch that off. */
export const letterKeys = {
  get on(): boolean {
    return browserKeeper.get(lettersKey) !== "off";
  },
  set on(isOn: boolean) {
    browserKeeper.set(lettersKey, isOn ? "on" : "off");
  },
};

const isLetter = ({ key, ctrl }: Command): boolean => key.length === 1 && ctrl !== true;

/** As the button does: the form's bounds hold. */
function submit(studio: Studio): void {
  if (!studio.isBusy) document.querySelector<HTMLFormElement>("form#settings")?.requestSubmit();
}

function step(studio: Studio, by: number): void {
  const last = studio.steps - 1;
  const next = (studio.frame ?? last) + by;
  studio.frame = next >= last ? undefined : Math.max(0, next);
}

const isField = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.closest("input, select, textarea, [data-keys]") !== null;

/** Runs the command of a key; leaves keys alone that a field or an open dialog wants. */
export function onKey(event: KeyboardEvent, studio: Studio): void {
  if (document.querySelector("dialog[open]") !== null) return;
  const ctrl = event.ctrlKey || event.metaKey;
  const command = commands.find(
    (one) =>
      one.key === event.key && (one.ctrl === true) === ctrl && (one.inFields || !isField(event.target)),
  );
  if (
    command === undefined ||
    event.altKey ||
    (isLetter(command) && !letterKeys.on) ||
    (event.target instanceof HTMLButtonElement && !command.inFields && command.key.length > 1)
  )
    return;
  event.preventDefault();
  command.run(studio);
}

/** A key as people write it. */
export function keyName({ key, ctrl }: Command): string {
  const name =
    { ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" }[key] ?? (key.length === 1 ? key.toUpperCase() : key);
  return ctrl ? `Ctrl ${name}` : name;
}
