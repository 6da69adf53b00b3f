/** Programs of one set of weights, compiled when first asked for. Dispose when done. */
import type { Device } from "../runtime/device.ts";
import { type CompileOptions, compile, type Program } from "../runtime/program.ts";
import type { Graph } from "../runtime/trace.ts";
import type { Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";

/** How a program keeps its memory. */
export type ProgramOptions = Pick<CompileOptions, "arena" | "prepack" | "kept">;

export class ProgramStore implements Disposable {
  readonly #device: Device;
  readonly #weights: ReadonlyMap<string, Value>;
  readonly #programs = new Map<string, Promise<Program>>();
  #disposed = false;

  constructor(weights: ReadonlyMap<string, Value>, device: Device) {
    this.#weights = weights;
    this.#device = device;
  }

  /** The program of a name, whose graph is described and built once. Errors: GRAPH_ and RUNTIME_ codes, RUNTIME_DISPOSED. */
  async get(name: string, graph: () => Graph, options: ProgramOptions = {}): Promise<Program> {
    if (this.#disposed) throw new NextxError("RUNTIME_DISPOSED", "The programs were disposed.");
    const known = this.#programs.get(name);
    if (known) return known;
    const made = compile(graph(), { ...options, device: this.#device, weights: this.#weights });
    this.#programs.set(name, made);
    made.catch(() => this.#programs.delete(name)); // what failed, such as for want of memory, may succeed later
    return made;
  }

  /** Compiles if needed, and runs. */
  async run(
    name: string,
    graph: () => Graph,
    inputs: Readonly<Record<string, Value>>,
    options: ProgramOptions = {},
  ): Promise<Record<string, Value>> {
    return (await this.get(name, graph, options)).run(inputs);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const program of this.#programs.values()) {
      program.then(
        (made) => made[Symbol.dispose](),
        () => undefined,
      );
    }
    this.#programs.clear();
  }
}
