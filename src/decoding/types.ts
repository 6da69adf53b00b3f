/** The decoding axis: the loop over groups, and state that can be taken back. */
import type { Group } from "../plan/types.ts";

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
