import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import { CapacitySensor, createProbes } from "../../../../src/worker/governor/capacity.ts";
import { GpuProbe } from "../../../../src/worker/governor/probes/gpu.ts";
import { canMakeMemoryCgroup, MemoryCgroup } from "../../../support/memory-hogs.ts";
import { Scratch } from "../../../support/scratch.ts";

const LIMIT = 512 * MiB;

/** Writes so many MiB, as a process of the cgroup. */
function writeFile(cgroup: string, path: string, mebibytes: number): void {
  const script = 'echo $$ > "$0/cgroup.procs" && exec dd if=/dev/zero of="$1" bs=1M count="$2" conv=fsync status=none';
  const { status, stderr } = spawnSync("sh", ["-c", script, cgroup, path, String(mebibytes)], { encoding: "utf8" });
  if (status !== 0) throw new Error(`dd failed: ${stderr}`);
}

test.runIf(canMakeMemoryCgroup())(
  "a file of 400 MB written in a real cgroup of 512 MB changes the headroom by less than a tenth, and the limit is exact",
  async () => {
    using scratch = new Scratch();
    await using cgroup = new MemoryCgroup(LIMIT);
    const sensor = new CapacitySensor(createProbes(cgroup.roots, { gpu: new GpuProbe({ driverFiles: [] }) }));
    let nowMs = 0;
    const headroom = () => {
      const [own] = sensor.read((nowMs += 10), () => 0).memory;
      if (own === undefined) throw new Error("expected a level of the cgroup");
      return own.limitBytes - own.usedBytes;
    };
    const before = headroom();
    expect(sensor.latest?.memoryBytes).toBe(LIMIT);
    writeFile(cgroup.folder, join(scratch.path, "large"), 400);
    const usage = Number(readFileSync(join(cgroup.folder, "memory.usage_in_bytes"), "utf8"));
    // The kernel keeps the file, and charges it: what is told as used must not follow.
    expect(usage).toBeGreaterThan(300 * MiB);
    expect(Math.abs(headroom() - before) / before).toBeLessThan(0.1);
    sensor.close();
  },
);
