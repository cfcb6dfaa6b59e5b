/** A small program that behaves as `claude -p --output-format json` is documented to, in several moods. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { plannerSchema, type ClaudeCodeSettings } from "../../src/contract/planners.ts";

export type Mood =
  /** Prints the text of `answer.txt` in an envelope. */
  | "answer"
  /** Starts a process of its own, ignores TERM, never ends. */
  | "hang"
  /** Answers, and leaves a process behind that holds its output open. */
  | "leave"
  | "is-error"
  | "throttled"
  | "crash"
  | "killed"
  | "prose"
  | "half"
  | "flood"
  | "no-usage";

const program = `
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
const [folder, mood, ...argv] = process.argv.slice(2);
const key = process.env.ANTHROPIC_API_KEY ?? "";
const child = (stdio) => {
  const { pid } = spawn(process.execPath, ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"], { stdio });
  return pid;
};
let stdin = "";
for await (const chunk of process.stdin) stdin += chunk;
const heard = { argv, stdin, cwd: process.cwd(), env: Object.keys(process.env), pid: process.pid };
const usage = { input_tokens: 10, cache_creation_input_tokens: 200, cache_read_input_tokens: 3000, output_tokens: 40 };
const envelope = (result, more = {}) => JSON.stringify({
  type: "result", subtype: "success", is_error: false, duration_ms: 12, duration_api_ms: 10, num_turns: 1, result,
  session_id: "b2c6", total_cost_usd: 0.0125, usage, permission_denials: [], ...more,
});
const tell = (more = {}) => writeFileSync(folder + "/heard.json", JSON.stringify({ ...heard, ...more }));
const answer = () => readFileSync(folder + "/answer.txt", "utf8");
const print = (text) => new Promise((done) => process.stdout.write(text, done));
switch (mood) {
  case "answer": tell(); await print(envelope(answer())); break;
  case "no-usage": tell(); await print(envelope(answer(), { usage: undefined, total_cost_usd: undefined })); break;
  case "hang": process.on("SIGTERM", () => {}); tell({ child: child("ignore") }); setInterval(() => {}, 1000); break;
  case "leave": tell({ child: child(["ignore", "inherit", "inherit"]) }); await print(envelope(answer())); process.exit(0);
  case "is-error": tell(); await print(envelope("Invalid API key " + key, { is_error: true, subtype: "success" })); process.exit(1);
  case "throttled": tell(); await print(envelope("API Error: 429 rate limit reached", { is_error: true })); process.exit(1);
  case "crash": tell(); console.error("boom\\nwith " + key); process.exit(7);
  case "killed": tell(); process.kill(process.pid, "SIGKILL"); break;
  case "prose": tell(); await print("Hello, I am no JSON."); break;
  case "half": tell(); await print(envelope(answer()).slice(0, -20)); break;
  case "flood": tell(); for (;;) await print("x".repeat(65536));
}
`;

export const SECRET = "sk-ant-very-secret-key";

export interface FakeClaude {
  readonly settings: ClaudeCodeSettings;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What it was called with; undefined before. */
  readonly heard: () => Heard | undefined;
  /** Whether it, and what it started, have ended. */
  readonly isQuiet: () => boolean;
}

export interface Heard {
  readonly argv: readonly string[];
  readonly stdin: string;
  readonly cwd: string;
  readonly env: readonly string[];
  readonly pid: number;
  readonly child?: number;
}

/** Writes the program into a folder. */
export function makeFakeClaude(folder: string, mood: Mood, answer = ""): FakeClaude {
  const path = join(folder, "claude.mjs");
  writeFileSync(path, program);
  writeFileSync(join(folder, "answer.txt"), answer);
  const written = { kind: "claude-code", command: [process.execPath, path, folder, mood], answer_max_bytes: 10_000 };
  const settings = plannerSchema.parse(written) as ClaudeCodeSettings;
  const heard = (): Heard | undefined => {
    const file = join(folder, "heard.json");
    return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Heard) : undefined;
  };
  const isQuiet = (): boolean => {
    const { pid, child } = heard() ?? {};
    return [pid, child].every((id) => id === undefined || !isThere(id));
  };
  return { settings, env: { PATH: process.env["PATH"], ANTHROPIC_API_KEY: SECRET, OTHER: "x" }, heard, isQuiet };
}

/** A process that has ended and was not waited for is gone for us. */
function isThere(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    // It has ended.
    return false;
  }
}
