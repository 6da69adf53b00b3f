/** A device of the CPU that leaves kept outputs "on the device", as WebGPU does, and counts those that live. Test-only. */
import type { Device } from "../device.ts";
import { DeviceValue, type Value } from "../values.ts";

export interface KeepingDevice {
  readonly device: Device;
  /** Values that were kept so far. */
  readonly kept: number;
  /** Kept values that nobody freed. */
  readonly living: number;
}

/** `onKept` is called with the number of values kept so far, within the run that keeps them. */
export function keepingDevice(cpu: Device, onKept: (kept: number) => void = () => {}): KeepingDevice {
  const living = new Set<Value>();
  let kept = 0;
  const held = (value: Value): Value => {
    if (!(value instanceof DeviceValue)) return value;
    const own = value.handle as Value; // made below
    if (!living.has(own)) throw new Error("A freed value was used.");
    return own;
  };
  const device: Device = {
    ...cpu,
    createSession: async (model, { kept: names = [], ...options }) => {
      const session = await cpu.createSession(model, options);
      return {
        run: async (feeds, outputs) => {
          const own = new Map([...feeds].map(([name, value]) => [name, held(value)] as const));
          const results = await session.run(own, outputs);
          return Object.fromEntries(
            outputs.map(([name, { dtype }]) => {
              const value = results[name] as Value; // asked for
              if (!names.includes(name)) return [name, value];
              living.add(value);
              onKept(++kept);
              return [name, new DeviceValue(dtype, value.shape, value, () => living.delete(value))];
            }),
          );
        },
        [Symbol.dispose]: () => session[Symbol.dispose](),
      };
    },
  };
  return {
    device,
    get kept() {
      return kept;
    },
    get living() {
      return living.size;
    },
  };
}
