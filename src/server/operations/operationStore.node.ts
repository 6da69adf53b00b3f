/** Accepted long work on disk; what it makes lies elsewhere, in run folders and results. */
import { z } from "zod";
import { NextxError } from "../../tensor/errors.ts";
import { errorBody } from "../errors.ts";
import { RequestFolders, type RequestForm } from "../requestFolders.node.ts";
import { type OperationRequest, operationRequestSchema, operationStateSchema } from "../runProtocol.ts";

const stateSchema = operationStateSchema.extend({
  /** Of work that was told to stop and may not have done so yet. */
  isStopAsked: z.boolean().optional(),
});
export type StoredOperationState = z.infer<typeof stateSchema>;

const damagedState = errorBody(
  new NextxError("JOB_BAD_STATE", "How the work stood cannot be read any more.", { hint: "Let it go on." }),
).error;

const form: RequestForm<OperationRequest, StoredOperationState> = {
  request: operationRequestSchema,
  state: stateSchema,
  first: { state: "queued", crashes: 0 },
  damaged: { state: "parked", crashes: 0, error: damagedState },
  ids: /^[a-z0-9]{6,12}-[0-9a-f]{12}$/,
  noun: "operation",
};

export class OperationStore extends RequestFolders<OperationRequest, StoredOperationState> {
  /** @throws NextxError RUN_LOCKED when another server uses the folder; FILE_ codes */
  static async open(folder: string): Promise<OperationStore> {
    return new OperationStore(folder, form, await OperationStore.lock(folder));
  }
}
