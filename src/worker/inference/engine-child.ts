/** One engine process from its start to its end. Who owns it decides what its end means. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { InfrastructureError } from "../../contract/errors.ts";
import { DEFAULT_ENV_ALLOW } from "../../contract/run-spec.ts";
import type { EngineSettings } from "./engine-port.ts";
import type { FromEngine, ToEngine } from "./engine-protocol.ts";

/** Beside those of every run: where libraries and devices are. */
const ENGINE_ENV = [
  "LD_LIBRARY_PATH",
  "CUDA_VISIBLE_DEVICES",
  "NVIDIA_VISIBLE_DEVICES",
  "NVIDIA_TF32_OVERRIDE",
  "VK_ICD_FILENAMES",
  "VK_DRIVER_FILES",
  "XDG_RUNTIME_DIR",
  "HOME",
];
/**
 * Cards of today multiply floats of 32 bits with 10 bits of mantissa unless told otherwise, and answers differ by some
 * thousandths from those of a CPU. The runtime has no switch for it in Node; NVIDIA's libraries have. Who sets it has it.
 */
const EXACT_FLOATS = { NVIDIA_TF32_OVERRIDE: "0" };
/** From 1.30 on the runtime tells its makers what it runs, on Linux too, and leaves a file in the temporary folder. */
const NO_TELEMETRY = { ORT_DISABLE_TELEMETRY: "1" };
const TAIL_CHARS = 2_000;

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what it wrote to standard error. */
  readonly log: string;
}

export interface ChildEvents {
  onMessage(message: FromEngine): void;
  onEnd(end: ChildEnd): void;
}

export class EngineChild {
  readonly #process: ChildProcess;
  #log = "";

  constructor(events: ChildEvents, { prefix = [], gpu }: Pick<EngineSettings, "prefix" | "gpu">) {
    const words = [...prefix, process.execPath, engineFile()];
    this.#process = spawn(words[0] ?? process.execPath, words.slice(1), {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      serialization: "advanced",
      env: { ...engineEnvironment(process.env), ...(gpu !== undefined && { CUDA_VISIBLE_DEVICES: gpu }) },
    });
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log = (this.#log + text).slice(-TAIL_CHARS);
    });
    this.#process.on("message", (message) => {
      events.onMessage(message as FromEngine);
    });
    let isOver = false;
    const over = (end: Omit<ChildEnd, "log">) => {
      if (isOver) return;
      isOver = true;
      events.onEnd({ ...end, log: this.#log.trim() });
    };
    this.#process.on("error", (error) => {
      this.#log += error.message;
      if (this.#process.pid === undefined) over({ code: null, signal: null });
    });
    this.#process.on("exit", (code, signal) => {
      over({ code, signal });
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  send(message: ToEngine): void {
    if (!this.#process.connected) return;
    this.#process.send(message, () => {
      // A child that has died tells so by its end, which says more.
    });
  }

  /** Lets it end by itself, after what it was asked for. */
  dismiss(): void {
    if (this.#process.connected) this.#process.disconnect();
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }
}

function engineEnvironment(own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const names = [...DEFAULT_ENV_ALLOW, ...ENGINE_ENV];
  const passed = Object.fromEntries(names.flatMap((name) => (own[name] === undefined ? [] : [[name, own[name]]])));
  return { ...EXACT_FLOATS, ...NO_TELEMETRY, ...passed };
}

/** The built engine: child processes cannot load TypeScript on every Node that we support. */
function engineFile(): string {
  const here = import.meta.url;
  const built = here.endsWith(".ts")
    ? here.replace(/\/src\/worker\/inference\/[^/]*$/, "/dist/worker/inference/engine.js")
    : new URL("engine.js", here).href;
  const path = fileURLToPath(built);
  if (existsSync(path)) return path;
  throw new InfrastructureError(`expected the built ${path}, found none; to make it: npm run build`);
}
