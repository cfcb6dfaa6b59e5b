/**
 * Plays the pages of docs/runbooks against a real cluster: exactly the commands that stand there. `Detect` must fail while all
 * is well and succeed once it is broken; `Verify` must fail then, and succeed after `Act`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { Cli, type CallOptions, type Running } from "../e2e/cli/cli-process.ts";
import { startRedis, type RedisServer, type RedisServerOptions } from "./redis-server.ts";

const pages = fileURLToPath(new URL("../../docs/runbooks/", import.meta.url));
const bin = fileURLToPath(new URL("../../bin/headroom.js", import.meta.url));

/** What each page says, in this order. */
type Section = "Detect" | "Act" | "Verify";

/** The commands of each section, as they stand in its `sh` fences. @throws for a page without one of the first three */
export function readRunbook(name: string): Readonly<Record<Section, string>> & { readonly Undo: string | undefined } {
  const text = readFileSync(join(pages, `${name}.md`), "utf8");
  const commands = (section: string): string => {
    const [, rest = ""] = text.split(new RegExp(`^## ${section}$`, "m"));
    const [body = ""] = rest.split(/^## /m);
    const blocks = [...body.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((block) => block[1] ?? "");
    if (blocks.length === 0) throw new Error(`expected commands in ${name}.md below "${section}", found none`);
    return blocks.join("");
  };
  const Undo = text.includes("\n## Undo\n") ? commands("Undo") : undefined;
  return { Detect: commands("Detect"), Act: commands("Act"), Verify: commands("Verify"), Undo };
}

export interface ShellEnd {
  readonly code: number | null;
  readonly output: string;
}

/** A cluster of real processes on a Redis of its own, and a shell in which `headroom` is the built one. */
export class RunbookCluster implements AsyncDisposable {
  readonly cli = new Cli();
  readonly redis: RedisServer;
  /** What the pages call `$NAME`, and where the cluster is. */
  readonly env: Record<string, string>;

  static async open(options: RedisServerOptions = {}): Promise<RunbookCluster> {
    return new RunbookCluster(await startRedis(options));
  }

  private constructor(redis: RedisServer) {
    this.redis = redis;
    const folder = this.cli.scratch.folder("bin");
    writeFileSync(join(folder, "headroom"), `#!/bin/sh\nexec "${process.execPath}" "${bin}" "$@"\n`);
    chmodSync(join(folder, "headroom"), 0o755);
    this.env = {
      HEADROOM_REDIS_URL: redis.url,
      HEADROOM_STORE_URL: `sqlite:${join(this.cli.scratch.path, "store.db")}`,
      HEADROOM_HOME: this.cli.home,
      PATH: `${folder}:${process.env["PATH"] ?? ""}`,
    };
  }

  /** Starts one process of the cluster and waits until it is ready; its operations URL. */
  async start(
    args: readonly string[],
    more: Pick<CallOptions, "env" | "bin"> = {},
  ): Promise<{ readonly running: Running; readonly url: string }> {
    const running = this.cli.start(args, { ...more, env: { ...this.env, ...more.env } });
    const find = () => /"url":"(http:[^"]+)"[^\n]*operations server listens/.exec(running.stderr())?.[1];
    await expect.poll(find, { timeout: 60_000 }).toBeDefined();
    const url = find() ?? "";
    const status = () =>
      fetch(`${url}/readyz`).then(
        (answer) => answer.status,
        () => 0,
      );
    await expect.poll(status, { timeout: 60_000 }).toBe(200);
    return { running, url };
  }

  /** Enqueues a run over `files` small files; its id. */
  async enqueue(
    command: readonly string[],
    { files = 5, out = "out", options = [] }: { files?: number; out?: string; options?: readonly string[] } = {},
  ): Promise<string> {
    for (let at = 0; at < files; at += 1) this.cli.scratch.file(`in/${at}.txt`, `file ${at}\n`);
    const args = ["run", "-i", "in", "-o", out, "--detach", "--json", ...options, "--", ...command];
    return (await this.cli.json<{ id: string }>(args, { env: this.env })).id;
  }

  /** Commands that stop a process that was started here and wait for its end, and that start one behind the shell's back. */
  stopCommand({ child }: Running): string {
    return `kill -TERM ${child.pid ?? 0}; while kill -0 ${child.pid ?? 0} 2>/dev/null; do sleep 0.1; done`;
  }

  startCommand(args: readonly string[]): string {
    return `nohup headroom ${args.join(" ")} </dev/null >/dev/null 2>&1 & echo $! >> "${this.#pids}"`;
  }

  get #pids(): string {
    return join(this.cli.scratch.path, "pids");
  }

  /** Ends what `startCommand` has started. */
  async #endStarted(): Promise<void> {
    if (!existsSync(this.#pids)) return;
    for (const line of readFileSync(this.#pids, "utf8").trim().split("\n")) {
      await this.sh(`kill -TERM ${line} 2>/dev/null || exit 0; while kill -0 ${line} 2>/dev/null; do sleep 0.1; done`);
    }
  }

  /** Runs commands as a person would, in one shell; the first that fails ends it. */
  async sh(script: string): Promise<ShellEnd> {
    const child = spawn("bash", ["-eu", "-c", script], {
      cwd: this.cli.scratch.path,
      env: { ...process.env, NO_COLOR: "1", ...this.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    }
    await once(child, "close");
    return { code: child.exitCode, output };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endStarted();
    await this.cli[Symbol.asyncDispose]();
    await this.redis.stop();
  }
}

const PATIENT = { timeout: 60_000, interval: 250 };

/** Plays one page; `breakIt` brings the cluster into the state that it is for. */
export async function playRunbook(name: string, cluster: RunbookCluster, breakIt: () => Promise<void>): Promise<void> {
  const { Detect, Act, Verify, Undo } = readRunbook(name);
  const run = async (script: string) => {
    const { code, output } = await cluster.sh(script);
    return { isWell: code === 0, output };
  };
  expect(await run(Detect), `${name}: Detect while all is well`).toMatchObject({ isWell: false });
  await breakIt();
  await expect.poll(() => run(Detect), { ...PATIENT, message: `${name}: Detect` }).toMatchObject({ isWell: true });
  expect(await run(Verify), `${name}: Verify before Act`).toMatchObject({ isWell: false });
  expect(await run(Act), `${name}: Act`).toMatchObject({ isWell: true });
  await expect.poll(() => run(Verify), { ...PATIENT, message: `${name}: Verify` }).toMatchObject({ isWell: true });
  if (Undo !== undefined) expect(await run(Undo), `${name}: Undo`).toMatchObject({ isWell: true });
}
