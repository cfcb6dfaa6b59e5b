/** One start of the binary, for one file or (with `{inputs}`) for several, and what is known of it so far. */
import type { AgentUsage } from "../../contract/agents.ts";
import type { FileEntry } from "../../contract/files.ts";
import type { StopReason } from "../result/outcome.ts";
import type { Target } from "../result/target.ts";
import type { LaunchEnd } from "./launch-frames.ts";
import type { Places } from "./sandbox.ts";
import type { OpenedInput } from "./open-input.ts";
import type { MemoryTrace } from "./trace.ts";

/** One input that is ready to be given to the binary. */
export interface ReadyInput {
  readonly file: FileEntry;
  readonly input: OpenedInput;
  readonly crashDigest: string;
  /** The target relative to the output root; null when nothing is kept. */
  readonly outputPath: string | null;
}

/** A process that is to run, runs or has run in a slot. */
export interface SlotProcess {
  readonly argv: readonly string[];
  /** Size of all its inputs; null for a check, which is no process of the class. */
  readonly inputBytes: number | null;
  /** What it sees when it is shut in. */
  readonly places: Places;
  /** Whether it runs long enough to be worth the time it takes to enter a control group. */
  inGroup: boolean;
  /** Why the worker ended it, or is about to. */
  stop: StopReason | null;
  stopMessage: string | null;
  /** The kernel's count of memory kills before it began. */
  memoryKillsBefore: number;
  end: LaunchEnd | null;
  /** What was seen of its memory while it ran. */
  trace: MemoryTrace | null;
  /** How long it stood still. */
  suspendedMs: number;
  /** What it told that it used; only of agents that tell. */
  used: AgentUsage | undefined;
}

export interface Call extends SlotProcess {
  /** The first one names the output. */
  readonly inputs: readonly [ReadyInput, ...ReadyInput[]];
  /** Null when nothing is kept. */
  readonly target: Target | null;
  /** What it prints, where that is kept beside its output. */
  readonly transcript: Target | null;
}

export function slotProcess(argv: readonly string[], inputBytes: number | null, places: Places): SlotProcess {
  return {
    argv,
    places,
    inputBytes,
    inGroup: false,
    stop: null,
    stopMessage: null,
    memoryKillsBefore: 0,
    end: null,
    trace: null,
    suspendedMs: 0,
    used: undefined,
  };
}
