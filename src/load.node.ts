/** Opening a model of this machine: what a program written with nextx calls first. */
import { type Model, openModel } from "./model.ts";
import { findModel } from "./models.node.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";

/** Where a loaded model computes. */
export type LoadOptions = DeviceOptions;

/**
 * Opens a model by shipped name, system id, run folder or file.
 * @throws NextxError MODEL_, CHECKPOINT_, SAFETENSORS_ and CONFIG_ codes
 */
export async function load(name: string, options: LoadOptions = {}): Promise<Model> {
  return openModel(await findModel(name), await openDevice(options));
}
