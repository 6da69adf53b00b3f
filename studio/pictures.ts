/** Pictures in the page: PNG text to bitmaps, files to the square that a model edits, downloads. */

export function pngBlob(base64: string): Blob {
  return new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: "image/png" });
}

export function decode(base64: string): Promise<ImageBitmap> {
  return createImageBitmap(pngBlob(base64), { colorSpaceConversion: "none" });
}

/** Base64 of a blob's bytes. */
async function toBase64(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/**
 * A PNG without its pixels, which is enough to read what it carries; of any other file the first bytes. Structure is not
 * judged here: whoever reads it says what is wrong.
 */
export async function withoutPixels(file: Blob): Promise<Blob> {
  const kept: Blob[] = [file.slice(0, 8)];
  const signature = new Uint8Array(await file.slice(0, 8).arrayBuffer());
  if (String(signature) !== "137,80,78,71,13,10,26,10") return new Blob(kept);
  for (let at = 8; at + 12 <= file.size; ) {
    const head = new DataView(await file.slice(at, at + 8).arrayBuffer());
    const end = at + 12 + head.getUint32(0);
    const isPixels = head.getUint32(4) === 0x49444154; // IDAT
    if (!isPixels) kept.push(file.slice(at, end));
    at = end;
  }
  return new Blob(kept);
}

/** The middle square of any picture in a model's size, as PNG in base64. */
export async function squarePng(file: Blob, size: number): Promise<string> {
  const bitmap = await createImageBitmap(file);
  const side = Math.min(bitmap.width, bitmap.height);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("This browser has no canvas.");
  context.imageSmoothingEnabled = side !== size;
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, size, size);
  context.drawImage(
    bitmap,
    (bitmap.width - side) / 2,
    (bitmap.height - side) / 2,
    side,
    side,
    0,
    0,
    size,
    size,
  );
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob === null) throw new Error("The picture could not be read.");
  return await toBase64(blob);
}

/** Saves a PNG under a name. */
export const download = (base64: string, name: string): void => saveBlob(pngBlob(base64), name);

/** Saves bytes under a name. */
export const saveBytes = (bytes: Uint8Array<ArrayBuffer>, name: string): void =>
  saveBlob(new Blob([bytes]), name);

function saveBlob(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
