/** FlexVAR as training sees it: both passes with schedules as data. Shape letters as in the model; N isolated sites. */
import { nextMatrix, poolMatrix, transitionMatrix } from "../../codec/scaleMatrices.ts";
import { blockCausal, classAndSelf } from "../../context/blockCausal.ts";
import { attentionBias } from "../../context/visibility.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import type { IsolatedForm, ScaleWiseModel, Values, WholeForm } from "../../regimen/scaleWise.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { addDims, symbol } from "../../tensor/dims.ts";
import { float32, type Tensor } from "../../tensor/tensor.ts";
import type { FlexTransformer } from "./model.ts";
import type { FlexTokenizer } from "./tokenizer.ts";

/** Schedules whose matrices are kept. */
const keptSchedules = 64;

const K = symbol("K");
const N = symbol("N");

/** Remembers the newest results by key. */
class Recent<T> {
  readonly #entries = new Map<string, T>();

  get(key: string, make: () => T): T {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#entries.set(key, made);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > keptSchedules && oldest !== undefined) this.#entries.delete(oldest);
    return made;
  }
}

const keyOf = (scales: readonly Scale[]): string => scales.map(({ side }) => side).join("_");

export class FlexScaleWise implements ScaleWiseModel {
  readonly vocabSize: number;
  readonly depth: number;
  readonly condDropRate: number;
  readonly dropPathRate: number;
  readonly conditioner;
  readonly tokenizer: FlexTokenizer;
  readonly model: FlexTransformer;
  /** Tokens of the first scale, the same in all schedules of one program. */
  readonly firstSize: number;
  readonly #wholes = new Recent<Values>();
  readonly #isolated = new Recent<Values>();

  constructor(tokenizer: FlexTokenizer, model: FlexTransformer, firstSize = 1) {
    this.tokenizer = tokenizer;
    this.model = model;
    this.firstSize = firstSize;
    this.vocabSize = model.vocabSize;
    this.depth = model.depth;
    this.condDropRate = model.config.condDropRate;
    this.dropPathRate = model.config.dropPathRate;
    this.conditioner = model.conditioner;
  }

  /** Input of scales 1 .. S-1: past tokens [B, L] -> [B, K, codeWidth]. */
  wholeInput(past: Tensor, next: Tensor): Tensor {
    return this.tokenizer.nextInput(past, next);
  }

  /** Input of isolated scales: own picks [B, L] -> [B, N, codeWidth]. */
  isolatedInput(picks: Tensor, next: Tensor): Tensor {
    return this.tokenizer.ownInput(picks, next);
  }

  get whole(): WholeForm {
    const length = addDims(K, this.firstSize);
    const sites = this.model.config.positionSide ** 2;
    return {
      specs: { next: float32(length, K), place: float32(sites, length), bias: float32(length, length) },
      length,
      logits: (labels, past, { next, place, bias }, keep) => {
        const data = { place: place as Tensor, bias: bias as Tensor, firstSize: this.firstSize }; // declared above
        return this.model.logits(labels, this.wholeInput(past, next as Tensor), data, keep);
      },
      values: (plan) => this.#wholes.get(keyOf(plan.groups), () => this.#wholeValues(plan)),
    };
  }

  #place(plan: Plan<Scale>): Value {
    return poolMatrix(this.model.config.positionSide, plan);
  }

  #wholeValues(plan: Plan<Scale>): Values {
    const { length } = plan;
    return {
      next: nextMatrix(plan),
      place: this.#place(plan),
      bias: floats(attentionBias(blockCausal, plan), [length, length]),
    };
  }

  get isolated(): IsolatedForm {
    const length = addDims(K, this.firstSize);
    const [all, sites] = [addDims(N, 1), this.model.config.positionSide ** 2];
    return {
      specs: {
        studentNext: float32(length, N),
        studentPlace: float32(sites, all),
        studentBias: float32(all, all),
      },
      length: N,
      logits: (labels, past, { studentNext, studentPlace, studentBias }, keep) => {
        const input = this.isolatedInput(past, studentNext as Tensor); // declared above
        const data = { place: studentPlace as Tensor, bias: studentBias as Tensor };
        return this.model.isolatedLogits(labels, input, data, keep);
      },
      values: (plan, transitions) =>
        this.#isolated.get(`${keyOf(plan.groups)}/${keyOf(transitions)}`, () =>
          this.#isolatedValues(plan, transitions),
        ),
    };
  }

  #isolatedValues(plan: Plan<Scale>, transitions: readonly Scale[]): Values {
    const sides = transitions.map((scale) => plan.groups[scale.index + 1]?.side ?? 0);
    const sequence = scalePlan([1, ...sides]);
    const { length } = sequence;
    return {
      studentNext: transitionMatrix(plan, transitions),
      studentPlace: this.#place(sequence),
      studentBias: floats(attentionBias(classAndSelf, sequence), [length, length]),
    };
  }

  prefix(plan: Plan<Scale>, scales: number): Plan<Scale> {
    return scalePlan(plan.groups.slice(0, scales).map(({ side }) => side));
  }
}
