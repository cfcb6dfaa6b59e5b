/** Bar: what a start costs that is shut in, of the same command in the same run, with and without the sandbox; in turns. */
import { spawnSync } from "node:child_process";
import { enclosed, knownSandboxFault } from "../src/worker/executor/sandbox.ts";
import { median, report, round, scratch } from "./shared/support.ts";

const STARTS = Number(process.env["BENCH_STARTS"] ?? 200);
const command = ["/usr/bin/true"];

function startMs([binary = "", ...words]: readonly string[]): number {
  const beganMs = performance.now();
  const { status } = spawnSync(binary, words);
  if (status !== 0) throw new Error(`expected ${binary} to exit with 0, found ${status}`);
  return performance.now() - beganMs;
}

const fault = knownSandboxFault();
if (fault !== undefined) throw new Error(`expected a machine that can shut processes in: ${fault}`);
using folder = scratch("sandbox");
const within = enclosed(command, { level: "strict", network: false, read: [] }, { read: [], write: [] }, folder.path);
const [plain, shutIn]: [number[], number[]] = [[], []];
for (let at = 0; at < STARTS; at += 1) {
  plain.push(startMs(command));
  shutIn.push(startMs(within));
}
report("sandbox-start", {
  starts: STARTS,
  plainMs: round(median(plain)),
  sandboxMs: round(median(shutIn)),
  ratio: round(median(shutIn) / median(plain)),
  bar: "sandboxMs - plainMs < 20",
});
