/** The rate of something that only grows, over a window of our own: averages that the kernel offers are too slow. */
export class RateWindow {
  readonly #windowMs: number;
  readonly #points: { readonly atMs: number; readonly value: number }[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  add(atMs: number, value: number): void {
    const last = this.#points.at(-1);
    // A counter that went back was another one: a limit moved to another cgroup, a machine was restored.
    if (last !== undefined && value < last.value) this.#points.length = 0;
    this.#points.push({ atMs, value });
    // Keep one point older than the window, so that the rate is over the whole of it.
    while ((this.#points[1]?.atMs ?? Infinity) <= atMs - this.#windowMs) this.#points.shift();
  }

  /** Growth per millisecond between the oldest and the newest point; undefined before there are two. */
  perMs(): number | undefined {
    const first = this.#points[0];
    const last = this.#points.at(-1);
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return undefined;
    return (last.value - first.value) / (last.atMs - first.atMs);
  }
}
