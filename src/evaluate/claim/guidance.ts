/** Choosing the guidance weight of a model by distances of its samples. */

/**
 * The weight with the least product of distances: `tables[i][k]` is the distance under network i at `grid[k]`. A network whose
 * distances are larger numbers decides no more than another. The first of equals; 0 without numbers.
 */
export function leastProduct(grid: readonly number[], tables: readonly (readonly number[])[]): number {
  const product = grid.map((_, k) => tables.reduce((so, table) => so * (table[k] ?? 0), 1));
  return grid[product.indexOf(Math.min(...product))] ?? 0;
}
