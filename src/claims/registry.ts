/** The claims there are, by system; each is composed when it is asked for. */
import type { ClaimFactory } from "../evaluate/claim/claim.ts";
import { autoformerClaim } from "./autoformer/claim.ts";
import { flowArClaim } from "./flowar/claim.ts";
import { hmarClaim } from "./hmar/claim.ts";
import { narClaim } from "./nar/claim.ts";
import { sarClaim } from "./sar/claim.ts";
import { spacetimeClaim } from "./spacetime/claim.ts";
import { varClaim } from "./var/claim.ts";
import { xarClaim } from "./xar/claim.ts";

export const claims: ReadonlyMap<string, ClaimFactory> = new Map([
  ["var", varClaim],
  ["sar", sarClaim],
  ["hmar", hmarClaim],
  ["nar", narClaim],
  ["xar", xarClaim],
  ["flowar", flowArClaim],
  ["autoformer", autoformerClaim],
  ["spacetime", spacetimeClaim],
]);
