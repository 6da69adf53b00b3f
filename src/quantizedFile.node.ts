/** The file of a quantised model: its original's tensors one by one, some as codes, and what it is in the metadata. */
import { realpathSync } from "node:fs";
import { convertFloats, type HostTensor, isFloat } from "./formats/hostTensor.ts";
import { type InheritedCard, modelMetadata, type Quantisation } from "./formats/modelFile.ts";
import { quantisedTensors } from "./formats/quantisedTensors.ts";
import { openSafetensors, writeSafetensorsFile } from "./formats/safetensors.node.ts";
import type { TensorForm } from "./formats/tensorFile.ts";
import type { ModelCard } from "./modelCard.ts";
import type { ModelPlace } from "./models.node.ts";
import type { QuantisedValue } from "./runtime/quantised.ts";

function inherited(card: ModelCard, what: string): InheritedCard {
  const { title, system, licence, data, sampling } = card;
  // sampling options are JSON: they come from a card
  return {
    title: `${title} (${what})`,
    system,
    licence,
    data,
    sampling: sampling as InheritedCard["sampling"],
  };
}

/**
 * Writes a model with these weights in few bits and the others as they are; without `quantisation` all floats in 16 bits.
 * Returns its size in bytes. @throws NextxError TENSOR_FLOAT_RANGE and the codes of writing files
 */
export async function writeQuantized(
  place: ModelPlace,
  out: string,
  chosen: ReadonlyMap<string, QuantisedValue>,
  quantisation: Quantisation | undefined,
): Promise<number> {
  await using source = await openSafetensors(realpathSync(place.path));
  const tensors = new Map<string, TensorForm>();
  const codes = new Map<string, HostTensor>();
  for (const [name, { dtype, shape }] of source.tensors) {
    const value = chosen.get(name);
    if (value === undefined) {
      tensors.set(name, { dtype: !quantisation && isFloat(dtype) ? "F16" : dtype, shape });
      continue;
    }
    for (const [part, tensor] of quantisedTensors(name, value)) {
      codes.set(part, tensor);
      tensors.set(part, tensor);
    }
  }
  const read = async (name: string): Promise<HostTensor> => {
    const code = codes.get(name);
    if (code !== undefined) return code;
    const tensor = await source.read(name);
    return quantisation ? tensor : convertFloats(tensor, "F16");
  };
  const card = place.card && inherited(place.card, quantisation?.kind ?? "float16");
  const notes = { ...(quantisation && { quantisation }), ...(card && { card }) };
  const metadata = modelMetadata(place.description, notes);
  return (await writeSafetensorsFile(out, { tensors, read }, metadata)).sizeBytes;
}
