/** The pages of docs/runbooks, played: what stands there works, on a cluster that is in the state that the page is for. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { freePort } from "../support/free-port.ts";
import { copyNext, NEXT_VERSION } from "../support/product-copies.ts";
import { playRunbook, RunbookCluster } from "../support/runbook.ts";
import { canMount, smallDisk } from "../support/small-disk.ts";

const PATIENT = { timeout: 60_000, interval: 200 };

/** A cluster with one worker and a run that has succeeded: all is well. */
async function openWell(workerArgs: readonly string[] = []) {
  const cluster = await RunbookCluster.open();
  const worker = await cluster.start(["worker", "--worker-id", "node", ...workerArgs]);
  cluster.env["RUN"] = await cluster.enqueue(["cat", "{input}"], { files: 1, out: "well" });
  await expect.poll(async () => (await cluster.sh('headroom status "$RUN"')).output, PATIENT).toContain("succeeded");
  return { cluster, worker };
}

const ended = (cluster: RunbookCluster, state: string) =>
  expect
    .poll(async () => (await cluster.sh('headroom status "$RUN" --json')).output, PATIENT)
    .toContain(`"state":"${state}"`);

test("stuck-queue", async () => {
  const { cluster } = await openWell();
  await using _end = cluster;
  await playRunbook("stuck-queue", cluster, async () => {
    expect((await cluster.sh("headroom queues pause default")).code).toBe(0);
    cluster.env["RUN"] = await cluster.enqueue(["wc", "-c", "{input}"], { files: 3 });
  });
});

test("poison-file", async () => {
  const { cluster } = await openWell();
  await using _end = cluster;
  const crash = 'if grep -q poison "$0"; then kill -SEGV $$; fi; cat "$0"';
  cluster.env["GOOD_COPY"] = cluster.cli.scratch.file("good.txt", "good\n");
  await playRunbook("poison-file", cluster, async () => {
    cluster.env["FILE"] = cluster.cli.scratch.file("in/poison.txt", "poison\n");
    cluster.env["RUN"] = await cluster.enqueue(["sh", "-c", crash, "{input}"]);
    await ended(cluster, "failed");
  });
});

test("mass-retry", async () => {
  const { cluster } = await openWell();
  await using _end = cluster;
  const share = join(cluster.cli.scratch.path, "share");
  cluster.env["BRING_BACK"] = `touch ${share}`;
  await playRunbook("mass-retry", cluster, async () => {
    for (const out of ["a", "b", "c"]) {
      const needsShare = ["sh", "-c", `test -e ${share} && cat "$0"`, "{input}"];
      cluster.env["RUN"] = await cluster.enqueue(needsShare, { out, options: ["--attempts", "1"] });
      await ended(cluster, "failed");
    }
    const { output } = await cluster.sh("headroom retry --since 2h --class exit --dry-run");
    expect(output).toMatch(new RegExp(`^3 runs would be started again\n.*\n.*\n${cluster.env["RUN"] ?? ""}$`, "m"));
  });
});

test("drain-a-node", async () => {
  const { cluster } = await openWell();
  await using _end = cluster;
  cluster.env["NODE"] = "node";
  await playRunbook("drain-a-node", cluster, async () => {
    cluster.env["RUN"] = await cluster.enqueue(["sh", "-c", 'sleep 8; cat "$0"', "{input}"], { files: 2 });
  });
  await ended(cluster, "succeeded");
});

test("roll-back", async () => {
  const { cluster, worker } = await openWell();
  await using _end = cluster;
  // Jobs in a newer form stay with workers of that version, as the page says: `upgrade.test.ts` has them.
  const next = copyNext(join(cluster.cli.scratch.path, "next"), { samePayload: true });
  Object.assign(cluster.env, { NODE: "node", BAD_VERSION: NEXT_VERSION });
  await playRunbook("roll-back", cluster, async () => {
    expect((await cluster.sh(cluster.stopCommand(worker.running))).code).toBe(0);
    const bad = await cluster.start(["worker", "--worker-id", "node"], { bin: next });
    cluster.env["STOP"] = cluster.stopCommand(bad.running);
    cluster.env["START"] = cluster.startCommand(["worker", "--worker-id", "node"]);
    cluster.env["RUN"] = await cluster.enqueue(["sh", "-c", 'sleep 1; cat "$0"', "{input}"], { files: 12 });
  });
});

test.runIf(canMount)("disk-full", async () => {
  const { cluster } = await openWell();
  await using _end = cluster;
  const out = cluster.cli.scratch.folder("full");
  using _disk = smallDisk(out, 256 * 1_024);
  cluster.env["OUTPUT"] = out;
  await playRunbook("disk-full", cluster, async () => {
    writeFileSync(join(out, "old.leftover"), Buffer.alloc(256 * 1_024));
    cluster.env["RUN"] = await cluster.enqueue(["cat", "{input}"], { files: 3, out: "full" });
  });
});

test("gpu-lost", async () => {
  const { cluster } = await openWell();
  await using _end = cluster;
  cluster.env["PROFILE"] = "card";
  const config = cluster.cli.scratch.file("run.yaml", "profiles:\n  card:\n    labels: [gpu]\n");
  await playRunbook("gpu-lost", cluster, async () => {
    const lost = await cluster.start(["worker", "--label", "gpu"]);
    expect((await cluster.sh(cluster.stopCommand(lost.running))).code).toBe(0);
    const options = ["-c", config, "--profile", "card"];
    cluster.env["RUN"] = await cluster.enqueue(["cat", "{input}"], { options });
  });
});

test("clock-skew", async () => {
  const { cluster, worker } = await openWell();
  await using _end = cluster;
  const skew = cluster.cli.scratch.file("skew.mjs", "const now = Date.now; Date.now = () => now() - 60_000;\n");
  cluster.env["NODE"] = "node";
  await playRunbook("clock-skew", cluster, async () => {
    expect((await cluster.sh(cluster.stopCommand(worker.running))).code).toBe(0);
    const env = { NODE_OPTIONS: `--import ${pathToFileURL(skew).href}` };
    const wrong = await cluster.start(["worker", "--worker-id", "node"], { env });
    cluster.env["SET_CLOCK"] = cluster.stopCommand(wrong.running);
    cluster.env["START"] = cluster.startCommand(["worker", "--worker-id", "node"]);
  });
});

test("worker-silent", async () => {
  const { cluster, worker } = await openWell();
  await using _end = cluster;
  const pid = worker.running.child.pid ?? 0;
  Object.assign(cluster.env, { NODE: "node", OPS: worker.url, PID: `${pid}` });
  cluster.env["START"] = cluster.startCommand(["worker", "--worker-id", "node"]);
  await playRunbook("worker-silent", cluster, async () => {
    process.kill(pid, "SIGSTOP");
    cluster.env["RUN"] = await cluster.enqueue(["cat", "{input}"], { out: "silent" });
  });
});

test("governor-refusing", async () => {
  const { cluster } = await openWell();
  await using _end = cluster;
  await playRunbook("governor-refusing", cluster, async () => {
    expect((await cluster.sh("headroom limits set paused=true")).code).toBe(0);
    cluster.env["RUN"] = await cluster.enqueue(["cat", "{input}"], { out: "paused" });
  });
});

test("audit-log", async () => {
  const cluster = await RunbookCluster.open();
  await using _end = cluster;
  const { scratch } = cluster.cli;
  const config = scratch.file("producer.yaml", "allow:\n  binaries: [/usr/bin/false]\n");
  const [port, operations] = [await freePort(), await freePort()];
  const args = ["producer", "-c", config, "--port", `${port}`, "--ops-port", `${operations}`];
  const producer = await cluster.start(args);
  const submit = () =>
    fetch(`http://127.0.0.1:${port}/v1/runs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        command: ["/bin/cat", "{input}"],
        input: scratch.path,
        output: join(scratch.path, "out"),
      }),
    });
  const log = join(scratch.path, "producer.log");
  Object.assign(cluster.env, {
    LOGS: `cat ${log}`,
    COMMAND: "/bin/cat",
    PRODUCER: producer.url,
    ALLOW: `echo 'allow: { binaries: [/usr/bin/false, /bin/cat] }' > ${config}`,
    STOP: cluster.stopCommand(producer.running),
    START: cluster.startCommand(args),
  });
  writeFileSync(log, producer.running.stderr());
  await playRunbook("audit-log", cluster, async () => {
    expect((await submit()).status).toBe(403);
    await expect.poll(() => producer.running.stderr(), PATIENT).toContain("refused by policy");
    writeFileSync(log, producer.running.stderr());
  });
  expect((await submit()).status).toBe(201);
});
