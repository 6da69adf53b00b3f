/** A picture in the terminal: two pixels per character cell, upper half block, 24-bit colour. */
import type { RgbImage } from "../formats/png.ts";

/** Whether the terminal shows 24-bit colour. */
export function showsImages(stream: NodeJS.WriteStream = process.stdout): boolean {
  return stream.isTTY === true && stream.getColorDepth() >= 24;
}

/** Lines of the picture, made smaller to fit `columns` by averaging whole blocks of pixels. */
export function terminalImage(image: RgbImage, columns: number): string {
  const step = Math.max(1, Math.ceil(image.width / Math.max(1, columns)));
  const [width, height] = [Math.floor(image.width / step), Math.floor(image.height / step)];
  const colour = (x: number, y: number): string => {
    const sum = [0, 0, 0];
    for (let dy = 0; dy < step; dy++) {
      for (let dx = 0; dx < step; dx++) {
        const at = ((y * step + dy) * image.width + x * step + dx) * 3;
        for (let c = 0; c < 3; c++) sum[c] = (sum[c] as number) + (image.pixels[at + c] as number); // in range
      }
    }
    return sum.map((value) => Math.round(value / step ** 2)).join(";");
  };
  const lines: string[] = [];
  for (let y = 0; y + 1 < height; y += 2) {
    let line = "";
    for (let x = 0; x < width; x++) line += `\u001b[38;2;${colour(x, y)}m\u001b[48;2;${colour(x, y + 1)}m▀`;
    lines.push(`${line}\u001b[0m`);
  }
  return lines.join("\n");
}
