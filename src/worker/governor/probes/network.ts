/** Bytes that came and went over the network, as this process's network namespace sees it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CachedFile, unexpected } from "./cached-file.ts";
import type { InlineProbe, ProbeRoots } from "./probe.ts";

/** Since some fixed moment. The loopback device is left out: what stays on the machine is no traffic. */
export interface NetworkTotals {
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export class NetworkProbe implements InlineProbe<NetworkTotals> {
  readonly name = "network";
  readonly mode = "inline";
  readonly periodMs = 2_000;
  readonly staleMs = 20_000;
  readonly #file: CachedFile;

  constructor(roots: ProbeRoots) {
    this.#file = new CachedFile(join(roots.proc, "net/dev"));
  }

  open(): boolean {
    return existsSync(this.#file.path);
  }

  read(): NetworkTotals {
    let [receivedBytes, sentBytes] = [0, 0];
    for (const line of this.#file.read().split("\n").slice(2)) {
      const [device = "", figures = ""] = line.split(":");
      if (figures === "" || device.trim() === "lo") continue;
      const fields = figures.trim().split(/\s+/).map(Number);
      const [received = NaN, sent = NaN] = [fields[0], fields[8]];
      if (!Number.isFinite(received + sent)) throw unexpected(this.#file.path, "counters of a device", line);
      receivedBytes += received;
      sentBytes += sent;
    }
    return { receivedBytes, sentBytes };
  }

  close(): void {
    this.#file.close();
  }
}
