/** Runs a TypeScript file as a process of its own, for tests of signals, kills and exits. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const loader = pathToFileURL(fileURLToPath(new URL("../../scripts/ts-loader.js", import.meta.url))).href;

export interface TsProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Everything that it printed so far. */
  readonly output: () => string;
  /** The first line, past or to come, that holds the text. @throws when the process ends without it. */
  line(text: string): Promise<string>;
  /** Its end: the exit code, or the signal that ended it. */
  ended(): Promise<number | NodeJS.Signals | null>;
}

export interface TsProcessOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The folder of a control group that it is started in, with all that it starts. */
  readonly cgroup?: string | undefined;
}

/** `file` is relative to the `tests` folder. The process is killed when the scope that holds it ends. */
export function runTs(file: string, options: TsProcessOptions = {}): TsProcess {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  return runNode(["--import", loader, path, ...(options.args ?? [])], options);
}

/** Runs Node with these arguments. The process is killed when the scope that holds it ends. */
export function runNode(
  argv: readonly string[],
  { env = {}, cgroup }: Pick<TsProcessOptions, "env" | "cgroup"> = {},
): TsProcess {
  const node = [process.execPath, ...argv];
  const [command = "", ...args] = cgroup === undefined ? node : entering(cgroup, node);
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      for (const look of waiting) look();
    });
  }
  const closed = once(child, "close").then(() => {
    for (const look of waiting) look();
    return child.exitCode ?? child.signalCode;
  });
  const line = (text: string) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const found = lines.find((candidate) => candidate.includes(text));
        if (found === undefined && child.exitCode === null && child.signalCode === null) return;
        waiting.delete(look);
        if (found !== undefined) resolve(found);
        else reject(new Error(`expected a line with ${text}, found the end after:\n${lines.join("\n")}`));
      };
      waiting.add(look);
      look();
    });
  return {
    child,
    pid: child.pid ?? 0,
    output: () => lines.join("\n"),
    line,
    ended: () => closed,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await closed;
    },
  };
}

/** A command that enters a control group and becomes the other one: it keeps its pid. */
export function entering(cgroup: string, command: readonly string[]): string[] {
  return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', cgroup, ...command];
}
