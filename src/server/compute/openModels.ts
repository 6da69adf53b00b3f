/** Models that stay open between batches; the one not used for longest goes. */
import { NextxError } from "../../tensor/errors.ts";

/** What is known of an open model. */
interface Opened extends Disposable {
  readonly sha256: string;
}

const changed = (cause?: unknown): NextxError =>
  new NextxError("MODEL_CHANGED", "The model's file changed meanwhile.", { hint: "Ask again.", cause });

export class OpenModels<M extends Opened> {
  readonly #models = new Map<string, M>();
  readonly #open: (name: string) => Promise<M>;
  readonly #most: number;

  constructor(open: (name: string) => Promise<M>, most: number) {
    this.#open = open;
    this.#most = most;
  }

  /**
   * Does a task with the model of a name, opened again when its file has another hash. One whose file changed while it was
   * used is closed, so that the next task opens it as it is then. Errors: MODEL_CHANGED, those of opening and of the task.
   */
  async use<T>(
    { model: name, sha256 }: { readonly model: string; readonly sha256: string },
    task: (model: M) => Promise<T>,
  ): Promise<T> {
    const model = await this.#get(name, sha256);
    try {
      return await task(model);
    } catch (error) {
      if (!(error instanceof NextxError && error.code === "FILE_CHANGED")) throw error;
      if (this.#models.get(name) === model) this.#models.delete(name);
      model[Symbol.dispose]();
      throw changed(error);
    }
  }

  async #get(name: string, sha256: string): Promise<M> {
    const known = this.#models.get(name);
    this.#models.delete(name);
    if (known && known.sha256 !== sha256) known[Symbol.dispose]();
    const model = known?.sha256 === sha256 ? known : await this.#open(name);
    this.#models.set(name, model);
    for (const [oldest, unused] of this.#models) {
      if (this.#models.size <= this.#most) break;
      this.#models.delete(oldest);
      unused[Symbol.dispose]();
    }
    if (model.sha256 === sha256) return model;
    throw changed();
  }
}
