/** Sines and cosines of rows in turn, of growing wave lengths: [rows * width]. Source: arXiv 1706.03762, section 3.5. */
export function positionWaves(rows: number, width: number): Float32Array {
  return Float32Array.from({ length: rows * width }, (_, i) => {
    const [row, column] = [Math.floor(i / width), i % width];
    const angle = row * Math.exp((-(column - (column % 2)) * Math.log(10_000)) / width);
    return column % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
}
