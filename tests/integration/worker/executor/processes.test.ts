/** How processes end: limits, aborts, evictions, what they leave behind, and the death of those who look after them. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ChunkRequest } from "../../../../src/worker/executor/chunk-request.ts";
import { ExecFixture, processesWith } from "../../../support/exec-fixture.ts";
import { runTs } from "../../../support/ts-process.ts";

const MiB = 1024 * 1024;

describe("processes of a chunk", () => {
  let exec: ExecFixture;
  beforeEach(async () => {
    exec = await ExecFixture.open();
  });
  afterEach(async () => {
    await exec[Symbol.asyncDispose]();
  });

  test("see the card that their job holds, whatever the run says, and no variable of it without one", async () => {
    const script = exec.script('echo "card ${CUDA_VISIBLE_DEVICES-none}"');
    const gpu = "GPU-00000001-aaaa-bbbb-cccc-000000000000";
    const shown = async (request: Partial<ChunkRequest>, env: Record<string, string> = {}) => {
      const { only } = await exec.run([script], exec.files({ a: "1" }), { spec: { env }, request });
      return readFileSync(join(exec.output, only.outputPath ?? ""), "utf8").trim();
    };
    expect(await shown({ gpu }, { CUDA_VISIBLE_DEVICES: "0,1" })).toBe(`card ${gpu}`);
    expect(await shown({})).toBe("card none");
  });

  test("run without a shell, in a process group of their own, with the allowed environment, and killed first for memory", async () => {
    const files = exec.files({ a: "$(id); echo" });
    process.env["HEADROOM_TEST_SECRET"] = "secret";
    const body =
      'cat /proc/self/oom_score_adj; env; cut -d" " -f5,6 /proc/$$/stat; echo "pid $$ of $PPID"; readlink /proc/self/fd/0; echo "$2"';
    await exec.run([exec.script(body), "{input}", "{name};`id`"], files, {
      spec: { env: { OWN: "value" }, output: { name: "o" } },
    });
    const said = exec.read("o");
    expect(said).toMatch(/^1000\n/);
    expect(said).toContain("OWN=value\n");
    expect(said).not.toContain("secret");
    // All jobs are of the launcher's session, so that the kernel gives the worker's own as much time as all of them.
    const [, pid = "", launcher = ""] = /pid (\d+) of (\d+)/.exec(said) ?? [];
    expect(said).toContain(`\n${pid} ${launcher}\n`);
    expect(said).toContain("/dev/null\n");
    expect(said).toContain("a;`id`\n");
  });

  test("fail with the name of a binary, or of an output check, that is not here", async () => {
    const files = exec.files({ a: "1" });
    const lost = exec.program("#!/opt/no/interpreter\n");
    const check = { output: { check: ["/opt/no/check", "{output}"] } };
    const ends = [
      await exec.run(["/opt/no/tool", "{input}"], files),
      await exec.run([lost, "{input}"], files),
      await exec.run(["/bin/cat", "{input}"], files, { spec: check }),
    ];
    expect(ends.map(({ only }) => only)).toMatchObject([
      { failureClass: "infrastructure", missingBinary: "/opt/no/tool" },
      { failureClass: "infrastructure", missingBinary: lost },
      { failureClass: "infrastructure", missingBinary: "/opt/no/check" },
    ]);
  });

  test("are ended by TERM at the time limit, and by KILL when they ignore it", async () => {
    const files = exec.files({ a: "1" });
    const polite = await exec.run([exec.script("exec sleep 60"), "{input}"], files, { spec: { timeoutMs: 200 } });
    expect(polite.only).toMatchObject({ failureClass: "timeout", signal: "SIGTERM", attempts: 1 });
    const deaf = exec.script("trap '' TERM; while :; do sleep 0.05; done");
    const killed = await exec.run([deaf, "{input}"], files, { spec: { timeoutMs: 200, killAfterMs: 200 } });
    expect(killed.only).toMatchObject({ failureClass: "timeout", signal: "SIGKILL" });
    expect(killed.only.durationMs).toBeLessThan(2_000);
    expect(processesWith(exec.scratch.path)).toEqual([]);
  });

  test("leave no grandchild behind, in their session or out of it", async () => {
    const files = exec.files({ a: "1" });
    const body = `mark=${exec.scratch.path}; (sleep 61 "$mark"; :) & setsid sh -c 'sleep 62; : $0' "$mark" & echo out`;
    const { only } = await exec.run([exec.script(body), "{input}"], files);
    expect(only).toMatchObject({ outcome: "succeeded" });
    expect(processesWith(exec.scratch.path)).toEqual([]);
  });

  test("keep a daemonized helper only as long as they run themselves", async () => {
    const files = exec.files({ quick: "1", slow: "2" });
    const helper = exec.script(`exec sleep 63`);
    const slow = exec.script(`(setsid ${helper} &) ; sleep 0.5; pgrep -f "sleep 63" >/dev/null && echo alive`);
    const [outcome, other] = await Promise.all([
      exec.run([slow, "{input}"], [{ index: 0, path: "slow", bytes: 1 }]),
      exec.run(["/bin/cat", "{input}"], files.slice(0, 1)),
    ]);
    expect(other.only).toMatchObject({ outcome: "succeeded" });
    expect(outcome.only).toMatchObject({ outcome: "succeeded" });
    expect(exec.read("slow.output")).toBe("alive\n");
    expect(processesWith("sleep\0" + "63")).toEqual([]);
  });

  test("may print a gigabyte: head and tail are kept", async () => {
    const files = exec.files({ a: "1" });
    const body = "echo first >&2; head -c 1073741824 /dev/zero >&2; echo last >&2; echo out";
    const { only } = await exec.run([exec.script(body), "{input}"], files, { spec: { logBytes: 1_000 } });
    expect(only).toMatchObject({ outcome: "succeeded" });
    expect(only.log?.length).toBeLessThan(1_100);
    expect(only.log).toMatch(/^first\n/);
    expect(only.log).toMatch(/last\n$/);
    expect(only.log).toContain(`[${1024 * MiB + 11 - 1_000} bytes left out]`);
  });

  test("are told apart by the signal that ended them", async () => {
    const files = exec.files({ a: "1" });
    const { only } = await exec.run([exec.script("kill -SEGV $$"), "{input}"], files);
    expect(only).toMatchObject({ failureClass: "signal", signal: "SIGSEGV", exitCode: null });
  });

  test("end within 2 s of an abort; the rest is not run", async () => {
    const files = exec.files({ a: "1", b: "2", c: "3" });
    const abort = new AbortController();
    const deaf = exec.script("trap '' TERM; while :; do sleep 0.05; done");
    let abortedMs = 0;
    const { end, results } = await exec.run([deaf, "{input}"], files, {
      signal: abort.signal,
      events: {
        usage: () => {
          abortedMs ||= performance.now();
          abort.abort(new Error("cancelled"));
        },
      },
    });
    expect(performance.now() - abortedMs).toBeLessThan(2_000);
    expect(end).toMatchObject({ kind: "aborted", interrupted: [files[0]], fenced: [] });
    expect(end.notRun).toHaveLength(3);
    expect(results.size).toBe(0);
    expect(exec.outputs()).toEqual([]);
    expect(processesWith(exec.scratch.path)).toEqual([]);
  });

  test("are measured while they run, and evicted at once; the chunk goes on", async () => {
    const files = exec.files({ large: "1", small: "2" });
    const perl = `case "$1" in *large) exec perl -e '$x = "y" x ${64 * MiB}; sleep 60';; *) echo small;; esac`;
    const request = { chunkId: "evicted" };
    const samples: number[] = [];
    const { results, end, measures } = await exec.run([exec.script(perl), "{input}"], files, {
      request,
      events: {
        usage: (sample) => {
          samples.push(sample.rssBytes);
          if (sample.rssBytes <= 64 * MiB) return;
          const about = { jobId: request.chunkId, runId: "", pid: sample.pid, peakBytes: sample.rssBytes };
          exec.runner.enforce({
            kind: "end",
            reason: "memory-limit",
            message: "asked for 16 MiB, used 64 MiB",
            ...about,
          });
        },
      },
    });
    expect(end.kind).toBe("done");
    expect(results.get("large")).toMatchObject({ failureClass: "out-of-memory", signal: "SIGKILL" });
    expect(results.get("large")?.message).toContain("asked for 16 MiB");
    expect(results.get("large")?.peakBytes).toBeGreaterThan(64 * MiB);
    expect(results.get("small")).toMatchObject({ outcome: "succeeded" });
    expect(measures.map((measure) => measure.end)).toEqual(["evicted", "well"]);
    expect(Math.max(...samples)).toBeGreaterThan(64 * MiB);
  });

  test("that kill the launcher are found out when they run alone, and the chunk goes on", async () => {
    const files = exec.files({ killer: "1", other: "2" });
    const body = `case "$1" in *killer) (setsid sleep 64 ${exec.scratch.path} &) ; kill -9 $PPID; sleep 60;; *) echo fine;; esac`;
    const { results, end } = await exec.run([exec.script(body), "{input}"], files);
    expect(end.kind).toBe("done");
    expect(results.get("killer")).toMatchObject({
      failureClass: "signal",
      message: expect.stringContaining("launcher") as string,
    });
    expect(results.get("other")).toMatchObject({ outcome: "succeeded" });
    expect(processesWith(exec.scratch.path)).toEqual([]);
    expect(exec.outputs()).toEqual(["other.output"]);
  });

  test("get their arguments whole, however long, and the next of their slot gets its own", async () => {
    const files = exec.files({ a: "a", b: "b" });
    const script = exec.script('printf "%s %s" "${#2}" "$3"');
    for (const length of [40_000, 5, 100_000, 0]) {
      const { results } = await exec.run([script, "{name}", "x".repeat(length), "end"], files);
      for (const { path } of files) {
        expect(results.get(path)).toMatchObject({ outcome: "succeeded", attempts: 1 });
        expect(exec.read(`${path}.output`)).toBe(`${length} end`);
      }
      rmSync(exec.output, { recursive: true });
    }
  });

  test("do not start when their arguments are more than the kernel takes; the launcher goes on", async () => {
    const files = exec.files({ a: "a" });
    const { only } = await exec.run(["/bin/echo", "x".repeat(200_000)], files);
    expect(only).toMatchObject({ outcome: "failed", message: expect.stringContaining("argument list") as string });
    expect((await exec.run(["/bin/echo", "fine"], files)).only).toMatchObject({ outcome: "succeeded" });
  });

  test("are measured from about nothing: what their launcher holds is no part of their peak", async () => {
    const { only } = await exec.run(["/bin/true"], exec.files({ a: "a" }), { spec: { output: { allowEmpty: true } } });
    expect(only.peakBytes).toBeLessThan(6 * MiB);
  });

  test("that stop the launcher cannot hold an abort up for long", async () => {
    const files = exec.files({ a: "1" });
    const abort = new AbortController();
    const body = "kill -STOP $PPID; trap '' TERM; while :; do sleep 0.05; done";
    const { end } = await exec.run([exec.script(body), "{input}"], files, {
      signal: abort.signal,
      events: {
        usage: () => {
          abort.abort();
        },
        starting: () => {
          setTimeout(() => {
            abort.abort();
          }, 300);
          return Promise.resolve();
        },
      },
    });
    expect(end).toMatchObject({ kind: "aborted", notRun: files });
    expect(processesWith(exec.scratch.path)).toEqual([]);
  });

  test("die with a worker that is killed, and its scratch folder goes", async () => {
    const script = exec.script("trap '' TERM; (setsid sleep 65 &) ; echo started >&2; sleep 66");
    exec.files({ a: "1" });
    await using owner = runTs("support/exec-owner.ts", { args: [script, exec.input, exec.output] });
    const pid = Number((await owner.line("pid=")).replace(/.*pid=(\d+).*/, "$1"));
    const token = /HEADROOM_JOB=([0-9a-f]+)\./.exec(readProc(pid, "environ"))?.[1] ?? "";
    const launcher =
      processesWith(`launcher.pl\0x64\0${token}`).concat(processesWith(`launcher.pl\0arm64\0${token}`))[0] ?? 0;
    const folder =
      readProc(launcher, "cmdline")
        .split("\0")
        .find((argument) => argument.includes("headroom-exec-")) ?? "";
    expect(existsSync(folder)).toBe(true);
    owner.child.kill("SIGKILL");
    await owner.ended();
    await expect.poll(() => processesWith(exec.scratch.path)).toEqual([]);
    await expect.poll(() => processesWith(token)).toEqual([]);
    await expect.poll(() => existsSync(folder)).toBe(false);
  });
});

function readProc(pid: number, file: "environ" | "cmdline"): string {
  return readFileSync(`/proc/${pid}/${file}`, "latin1");
}
