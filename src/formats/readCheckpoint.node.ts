export async function readCheckpoint(
  p: string,
  o: { key?: string },
): Promise<Map<string, import("./hostTensor.ts").HostTensor>> {
  throw new Error(p + o.key);
}
