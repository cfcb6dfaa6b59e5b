import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import { systemRoots } from "../../../../src/worker/governor/probes/probe.ts";
import { ProcessTrees } from "../../../../src/worker/governor/probes/process-trees.ts";

const TAKE = "my $n = 30; my $p = chr(65) x ($n << 20); $| = 1; print qq(full\\n); sleep 600;";

function openTrees(): ProcessTrees {
  const trees = new ProcessTrees(systemRoots);
  onTestFinished(() => {
    trees.close();
  });
  return trees;
}

/** A process with a child that has a child; the two below take 30 MiB each. */
async function startFamily(): Promise<ChildProcess> {
  const script = `unless (fork) { unless (fork) { ${TAKE} } ${TAKE} } sleep 600;`;
  const family = spawn("perl", ["-e", script], { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    process.kill(-(family.pid ?? 0), "SIGKILL");
  });
  let lines = 0;
  for await (const [text] of lineEvents(family)) {
    lines += String(text).split("full").length - 1;
    if (lines === 2) break;
  }
  return family;
}

async function* lineEvents(child: ChildProcess): AsyncGenerator<unknown[]> {
  if (child.stdout === null) throw new Error("expected a pipe");
  for (;;) yield (await once(child.stdout, "data")) as unknown[];
}

test("a job counts with all descendants of its process", async () => {
  const trees = openTrees();
  const family = await startFamily();
  trees.watch("job", family.pid ?? 0);
  const [usage] = trees.read(0);
  expect(usage?.jobId).toBe("job");
  expect(usage?.rssBytes).toBeGreaterThan(60 * MiB);
  expect(usage?.rssBytes).toBeLessThan(200 * MiB);
});

test("a descendant whose parent has died still counts", async () => {
  const trees = openTrees();
  const family = await startFamily();
  trees.watch("job", family.pid ?? 0);
  trees.read(0);
  family.kill("SIGKILL");
  await once(family, "exit");
  expect(trees.read(1_000)[0]?.rssBytes).toBeGreaterThan(60 * MiB);
});

test("a process that has ended, or never was, uses nothing", async () => {
  const trees = openTrees();
  const child = spawn("sleep", ["600"]);
  trees.watch("job", child.pid ?? 0);
  expect(trees.read(0)[0]?.rssBytes).toBeGreaterThan(0);
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(trees.read(10)).toEqual([{ jobId: "job", rssBytes: 0, cpuMs: 0 }]);
  trees.unwatch("job");
  expect(trees.read(20)).toEqual([]);
});

test("tells the CPU time of this process and what it started", async () => {
  const trees = openTrees();
  const before = trees.readOwnCpuMs();
  const child = spawn("perl", ["-e", "my $x; do { $x += $_ for 1 .. 1e5 } until (times)[0] > 0.3"]);
  await once(child, "exit");
  expect(trees.readOwnCpuMs() - before).toBeGreaterThanOrEqual(290);
});
