/** "Did you mean": the known word nearest to one that is not known. */

/** The nearest of `known`, if it is near enough to be a slip of the fingers. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(word.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that make one word the other. */
export function editDistance(a: string, b: string): number {
  let above: readonly number[] = [];
  let last: readonly number[] = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const row = nextRow(a, b, { i, above, last });
    [above, last] = [last, row];
  }
  return last[b.length] ?? 0;
}

interface Rows {
  readonly i: number;
  /** The row before the last one. */
  readonly above: readonly number[];
  readonly last: readonly number[];
}

function nextRow(a: string, b: string, { i, above, last }: Rows): number[] {
  const row = [i];
  const at = (of: readonly number[], j: number) => of[j] ?? Infinity;
  for (let j = 1; j <= b.length; j += 1) {
    const replaced = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
    const isSwap = j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
    const swapped = isSwap ? at(above, j - 2) + 1 : Infinity;
    row.push(Math.min(at(last, j) + 1, at(row, j - 1) + 1, replaced, swapped));
  }
  return row;
}
