/** A machine with GPUs that we do not have: a driver file, and a program that tells what a test says of its cards. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { GpuProbe, type GpuProbeOptions } from "../../src/worker/governor/probes/gpu.ts";
import { Scratch } from "./scratch.ts";

export const CARD = (index: number) => `GPU-0000000${index}-aaaa-bbbb-cccc-000000000000`;

/** Writes a program that tells `cards` and `apps` of a folder again and again, until it finds `refuse` there. */
export function writeSampler(command: string, folder: string): void {
  const script = `#!/usr/bin/perl
use strict; use warnings; $| = 1;
my ($folder) = "${folder}";
open my $log, '>>', "$folder/starts"; print $log "$$\\n"; close $log;
my $what = grep({ /^--query-gpu=/ } @ARGV) ? 'cards' : 'apps';
my ($ms) = map { /^--loop-ms=(\\d+)/ } @ARGV;
my $size = 64 << 20;
my $held = -e "$folder/leak" ? 'x' x $size : '';
if (-e "$folder/refuse") { print STDERR "NVIDIA-SMI has failed because it could not communicate with the driver\\n"; exit 9 }
while (1) {
  if (open my $file, '<', "$folder/$what") { print while <$file>; close $file }
  select undef, undef, undef, $ms / 1000;
}
`;
  writeFileSync(command, script);
  chmodSync(command, 0o755);
}

/** A program that looks like nvidia-smi: tells `cards` and `apps` (files that a test may change) again and again. */
export class FakeGpuMachine {
  readonly #scratch = new Scratch();
  readonly driver = join(this.#scratch.path, "nvidia-driver");
  readonly command = join(this.#scratch.path, "nvidia-smi");

  constructor() {
    writeSampler(this.command, this.#scratch.path);
    onTestFinished(() => {
      this.#scratch[Symbol.dispose]();
    });
  }

  write(name: "cards" | "apps" | "refuse" | "leak", lines: readonly string[]): void {
    writeFileSync(join(this.#scratch.path, name), lines.map((line) => `${line}\n`).join(""));
  }

  /** How often the program was started. */
  get starts(): number {
    const log = join(this.#scratch.path, "starts");
    return existsSync(log) ? readFileSync(log, "utf8").trim().split("\n").length : 0;
  }

  open(options: GpuProbeOptions = {}): GpuProbe {
    const limits = { firstPauseMs: 20, longestPauseMs: 100, ...options.limits };
    const probe = new GpuProbe({
      ...{ driverFiles: [this.driver], command: this.command, loopMs: 50, ...options },
      limits,
    });
    onTestFinished(() => {
      probe.close();
    });
    return probe;
  }
}
