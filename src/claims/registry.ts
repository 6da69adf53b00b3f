/** The claims there are, by system; each is composed when it is asked for. */
import type { ClaimFactory } from "../evaluate/claim/claim.ts";

export const claims: ReadonlyMap<string, ClaimFactory> = new Map<string, ClaimFactory>([]);
