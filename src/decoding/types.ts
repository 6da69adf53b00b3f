/** The decoding axis: the loop over groups, and state that can be taken back. */
import type { ModulatedMixer } from "../mixer/types.ts";
import type { Group } from "../plan/types.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** What a request remembers between groups. Backspace, rejected drafts and block re-denoising all need `rollback`. */
export interface DecodingCache<Fresh> {
  /** Positions held. */
  readonly length: number;
  commit(fresh: Fresh): void;
  clone(): DecodingCache<Fresh>;
  /** Forgets every position from `length` on. */
  rollback(length: number): void;
}

/** One model behind the loop: propose a group, choose its content, make it the past. */
export interface GroupDecoder<G extends Group, Proposal, Choice> {
  propose(group: G): Promise<Proposal>;
  choose(group: G, proposal: Proposal): Promise<Choice>;
  commit(group: G, choice: Choice): Promise<void>;
}

/** A model that decodes groups with a key/value cache: what its two programs are traced from. */
export interface CachedModel extends ModulatedMixer {
  /** Labels [rows] (the null label included) -> condition vectors [rows, C]. */
  classVector(labels: Tensor): Tensor;
  /** Start of the first group [rows, N, C], without positions. */
  start(condition: Tensor, firstSize: number): Tensor;
}

/** Tokens that an edit must keep. */
export interface KeptTokens {
  /** Source tokens, [B * L]. */
  readonly ids: Int32Array;
  /** Per group, per site: 1 = keep the source token. */
  readonly keep: readonly Uint8Array[];
}

/** Where a choice is made. */
export interface ChoiceSite<G extends Group = Group> {
  readonly group: G;
  /** Number of the picture in its batch. */
  readonly picture: number;
  /** Position in the flat token order. */
  readonly position: number;
}

/** What was chosen for a group of every picture. */
export interface ChosenTokens {
  /** The model's picks [B * N]; with an edit also at kept sites. */
  readonly ids: Int32Array;
  /** What becomes the past [B * N]: the picks, or the source's tokens at kept sites. */
  readonly tokens: Int32Array;
  /** Vectors of the past [B * N * codeWidth]. */
  readonly codes: Float32Array;
}
