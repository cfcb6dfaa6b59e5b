/** `headroom` as a process of its own, with its own data folder. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Scratch } from "../../support/scratch.ts";

const here = fileURLToPath(new URL("../../../bin/headroom.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<Ended>;
}

export interface CallOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
  /** An open file that standard output goes to; what it prints is told otherwise. */
  readonly stdout?: number;
  /** Another build than that of this checkout. */
  readonly bin?: string;
  /** Permissions of files count, also for root. */
  readonly isHeldToPermissions?: boolean;
}

/** Another test file runs at the same time, and its workers may hold all cores: that a command waits for them is no news. */
const waitsForOthers = /^headroom: .*, waits: .* to other workers of this machine\).*\n/gm;

/** What takes from root its right to read and write everything. */
const held = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];

function program({ bin = here, isHeldToPermissions = false }: CallOptions): readonly string[] {
  const limit = isHeldToPermissions && process.getuid?.() === 0 ? held : [];
  return [...limit, process.execPath, bin];
}

/** A data folder, and the command line working in it. */
export class Cli implements AsyncDisposable {
  readonly scratch = new Scratch();
  readonly home = join(this.scratch.path, "home");
  readonly #running = new Set<Running>();

  /** Runs to the end. */
  call(args: readonly string[], options: CallOptions = {}): Promise<Ended> {
    return this.start(args, options).ended;
  }

  start(args: readonly string[], options: CallOptions = {}): Running {
    const { cwd = this.scratch.path, env = {}, stdin } = options;
    const [file = "", ...rest] = [...program(options), ...args];
    const child = spawn(file, rest, {
      cwd,
      env: { ...process.env, HEADROOM_HOME: this.home, NO_COLOR: "1", ...env },
      stdio: [stdin === undefined ? "ignore" : "pipe", options.stdout ?? "pipe", "pipe"],
    });
    child.stdin?.end(stdin);
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const ended = once(child, "close").then(() => {
      return { code: child.exitCode, stdout, stderr: stderr.replaceAll(waitsForOthers, "") };
    });
    const running: Running = { child, stdout: () => stdout, stderr: () => stderr, ended };
    this.#running.add(running);
    void ended.finally(() => this.#running.delete(running));
    return running;
  }

  async json<T>(args: readonly string[], options: CallOptions = {}): Promise<T> {
    const { code, stdout, stderr } = await this.call(args, options);
    if (stdout === "") throw new Error(`expected JSON, found nothing, exit code ${code ?? "none"} and: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child, ended } of [...this.#running]) {
      child.kill("SIGTERM");
      await ended;
    }
    this.scratch[Symbol.dispose]();
  }
}
