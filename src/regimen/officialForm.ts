/**
 * What a system knows about the checkpoints of its authors: the parts that files hold, how a part's configuration follows
 * from its tensors, which tensors need not be kept, and the sizes that were published.
 */
import type { HostTensor } from "../formats/hostTensor.ts";
import type { NextxError } from "../tensor/errors.ts";

/** Names of tensors, to ask for and to walk through. */
export interface TensorNames extends Iterable<string> {
  has(name: string): boolean;
}

/** The tensors of one part, under official names. */
export interface OfficialTensors {
  readonly names: TensorNames;
  /** Undefined when there is no such tensor. */
  shape(name: string): readonly number[] | undefined;
  /** Small ones only: all data of one. */
  read(name: string): Promise<HostTensor>;
}

/** A tensor of an official file that a model does not need. */
export interface Derivable {
  /** Where it comes from instead. */
  readonly why: string;
  /** Whether its data are what we derive; taken on trust when absent. */
  readonly holds?: (tensor: HostTensor) => boolean;
}

type Section = Readonly<Record<string, unknown>>;

/** What the tensors of a part say. */
export interface Recognised {
  /** Its own configuration. */
  readonly section: Section;
  /** Of other parts, as far as they must fit; what those say themselves comes first. */
  readonly implied?: Readonly<Record<string, Section>>;
  /** What they do not say and a setting has to: its path is that setting's. */
  readonly unknown?: NextxError;
  /** Names of ours, below the prefix, by official ones, where they differ; undefined for what is another part's. */
  readonly rename?: (officialName: string) => string | undefined;
}

/** One network of a system, as a file of its own or inside one. */
export interface OfficialPart {
  /** Section of the model's configuration: "transformer", "tokenizer". */
  readonly name: string;
  /** Starts its parameters' names in model files. */
  readonly prefix: string;
  /** A tensor that every file of the part has; what stands before it in a file is a wrapper's prefix. */
  readonly anchor: string;
  /** Its configuration from its tensors; undefined when they are another system's. */
  recognise(tensors: OfficialTensors): Promise<Recognised | undefined>;
  derivable(name: string): Derivable | undefined;
  /** One line: size and what it makes. */
  summary(section: Section): string;
}

/** A size that the authors published. */
export interface OfficialPreset {
  readonly name: string;
  readonly description: string;
  readonly config: unknown;
  readonly imageSize: number;
  readonly numClasses: number;
}

/** Configuration sections by part; missing ones are completed with official values. */
export type Sections = Readonly<Record<string, Section | undefined>>;

export interface OfficialForm {
  readonly parts: readonly OfficialPart[];
  /** Builds the model's configuration. @throws NextxError CONFIG_ codes */
  describe(sections: Sections): {
    readonly config: unknown;
    readonly imageSize: number;
    readonly numClasses: number;
    /** Sampling settings with which the authors measure, where they differ from the system's defaults. */
    readonly sampling?: Readonly<Record<string, number>>;
  };
  readonly presets: readonly OfficialPreset[];
}

/** How many different numbers stand in the names at a place: `countIndices(names, "blocks.", ".")`. */
export function countIndices(names: Iterable<string>, before: string, after: string): number {
  const found = new Set<string>();
  for (const name of names) {
    if (!name.startsWith(before)) continue;
    const [index = ""] = name.slice(before.length).split(after, 1);
    if (/^\d{1,4}$/.test(index)) found.add(index);
  }
  return found.size;
}
