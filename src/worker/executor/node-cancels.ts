/** The nodes of one job that are cancelled while it goes on. */
export class NodeCancels {
  readonly #cancelled = new Set<string>();
  readonly #running = new Map<string, AbortController>();

  /** Ends the node, whether it runs or waits for its turn. */
  cancel(path: string): void {
    this.#cancelled.add(path);
    this.#running.get(path)?.abort(new Error("node was cancelled"));
  }

  isCancelled(path: string): boolean {
    return this.#cancelled.has(path);
  }

  /** Aborts what runs. */
  abort(reason: unknown): void {
    for (const controller of this.#running.values()) controller.abort(reason);
  }

  /** Runs the work of a node; its signal is aborted when the node is cancelled. */
  async run<T>(path: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#running.set(path, controller);
    try {
      return await work(controller.signal);
    } finally {
      this.#running.delete(path);
    }
  }
}
