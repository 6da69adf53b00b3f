/** Programs of one set of weights, compiled when first asked for. Dispose when done. */
import type { Device } from "../runtime/device.ts";
import { type CompileOptions, compile, type Program } from "../runtime/program.ts";
import type { Graph } from "../runtime/trace.ts";
import { isFileBacked, type Value } from "../runtime/values.ts";
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
    this.#requireOpen();
    const known = this.#programs.get(name);
    if (known) return known;
    const made = compile(graph(), { ...options, device: this.#device, weights: this.#weights });
    this.#programs.set(name, made);
    made.catch(() => this.#programs.delete(name)); // what failed, such as for want of memory, may succeed later
    return made;
  }

  /** Bytes of a graph's weights that the device reads from files itself. */
  bytesInFiles(graph: () => Graph): number {
    const bytesOf = (value: Value | undefined) =>
      this.#device.opensFiles && value && isFileBacked(value) ? value.source.sizeBytes : 0;
    const isAny = [...this.#weights.values()].some((value) => bytesOf(value) > 0);
    if (!isAny) return 0; // the graph need not be described
    return [...graph().weights.keys()].reduce((sum, name) => sum + bytesOf(this.#weights.get(name)), 0);
  }

  /** Compiles, runs and frees: for what takes more memory than it is worth to keep. */
  async once<O extends string>(
    graph: Graph<string, O>,
    inputs: Readonly<Record<string, Value>>,
  ): Promise<Record<O, Value>> {
    this.#requireOpen();
    const options = { prepack: false, arena: false, device: this.#device, weights: this.#weights };
    using program = await compile(graph, options);
    return await program.run(inputs); // before it is disposed
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

  #requireOpen(): void {
    if (this.#disposed) throw new NextxError("RUNTIME_DISPOSED", "The programs were disposed.");
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
