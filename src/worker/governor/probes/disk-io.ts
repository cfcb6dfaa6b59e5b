/** What disks do: bytes, operations and busy time of the host's, and bytes and operations of this cgroup. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CachedFile, unexpected } from "./cached-file.ts";
import { findCgroup } from "./cgroup-paths.ts";
import type { InlineProbe, ProbeRoots } from "./probe.ts";

/** Since some fixed moment. */
export interface DiskTotals {
  readonly scope: "host" | "cgroup";
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly operations: number;
  /** Time in which each disk had something to do; a cgroup does not know. */
  readonly busyMs: ReadonlyMap<string, number>;
}

const SECTOR_BYTES = 512;
/** Columns of reads, sectors read, writes, sectors written, and ms in which there was something to do. */
const COLUMNS = [3, 5, 7, 9, 12] as const;
/** What is no disk: made of memory, made of other disks, or a medium that is changed. */
const NO_DISK = /^(?:loop|ram|zram|sr|fd|dm-|md)/;
const PARTITION = /^(?:(?:[shv]d|xvd)[a-z]+\d+|(?:nvme\d+n\d+|mmcblk\d+)p\d+)$/;

export class DiskIoProbe implements InlineProbe<readonly DiskTotals[]> {
  readonly name = "disk io";
  readonly mode = "inline";
  readonly periodMs = 1_000;
  readonly staleMs = 10_000;
  readonly #roots: ProbeRoots;
  #host: CachedFile | undefined;
  #own: { readonly file: CachedFile; readonly parse: (text: string) => DiskTotals } | undefined;

  constructor(roots: ProbeRoots) {
    this.#roots = roots;
  }

  open(): boolean {
    this.close();
    const host = join(this.#roots.proc, "diskstats");
    if (existsSync(host)) this.#host = new CachedFile(host);
    const place = findCgroup(this.#roots, "blkio");
    const folder = place?.folders[0];
    if (place !== undefined && folder !== undefined) {
      const own = join(folder, place.version === 2 ? "io.stat" : "blkio.throttle.io_service_bytes");
      const parse = place.version === 2 ? parseIoStat : parseServiceBytes;
      if (existsSync(own)) this.#own = { file: new CachedFile(own), parse };
    }
    return this.#host !== undefined || this.#own !== undefined;
  }

  read(): readonly DiskTotals[] {
    const totals: DiskTotals[] = [];
    if (this.#host !== undefined) totals.push(parseDiskstats(this.#host.read(), this.#host.path));
    if (this.#own !== undefined) totals.push(this.#own.parse(this.#own.file.read()));
    return totals;
  }

  close(): void {
    this.#host?.close();
    this.#own?.file.close();
    this.#host = this.#own = undefined;
  }
}

function parseDiskstats(text: string, path: string): DiskTotals {
  let [readBytes, writtenBytes, operations] = [0, 0, 0];
  const busyMs = new Map<string, number>();
  for (const line of text.split("\n")) {
    const fields = line.trim().split(/\s+/);
    const name = fields[2] ?? "";
    if (name === "" || NO_DISK.test(name) || PARTITION.test(name)) continue;
    const counters = COLUMNS.map((at) => Number(fields[at]));
    if (!counters.every(Number.isFinite)) throw unexpected(path, `counters of the disk ${name}`, line);
    const [reads = 0, sectorsRead = 0, writes = 0, sectorsWritten = 0, busy = 0] = counters;
    readBytes += sectorsRead * SECTOR_BYTES;
    writtenBytes += sectorsWritten * SECTOR_BYTES;
    operations += reads + writes;
    busyMs.set(name, busy);
  }
  return { scope: "host", readBytes, writtenBytes, operations, busyMs };
}

/** Version 2: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`, one line per device. */
function parseIoStat(text: string): DiskTotals {
  const sum = (key: string) =>
    [...text.matchAll(new RegExp(`\\b${key}=(\\d+)`, "g"))].reduce((total, match) => total + Number(match[1]), 0);
  const operations = sum("rios") + sum("wios");
  return { scope: "cgroup", readBytes: sum("rbytes"), writtenBytes: sum("wbytes"), operations, busyMs: new Map() };
}

/** Version 1: `8:0 Read 1`, and a file of its own for operations, which is not read: bytes say enough. */
function parseServiceBytes(text: string): DiskTotals {
  const sum = (kind: string) =>
    [...text.matchAll(new RegExp(`^\\d+:\\d+ ${kind} (\\d+)$`, "gm"))].reduce(
      (total, match) => total + Number(match[1]),
      0,
    );
  return { scope: "cgroup", readBytes: sum("Read"), writtenBytes: sum("Write"), operations: 0, busyMs: new Map() };
}
