/** Writes the filters of system calls that bubblewrap loads: `npm run filters`. A test holds them to the code. */
import { writeFileSync } from "node:fs";
import { systemCallFilter } from "./filter.ts";

for (const arch of ["x64", "arm64"] as const) {
  writeFileSync(new URL(`../../src/worker/executor/system-calls.${arch}.bpf`, import.meta.url), systemCallFilter(arch));
}
