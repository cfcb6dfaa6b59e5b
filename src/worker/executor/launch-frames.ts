/** The frames between the worker and `launcher.pl` (described at its head), as bytes. Pure. */
import { constants } from "node:os";
import { hasEscapedBytes, pathToBytes } from "../../contract/path-bytes.ts";
import type { ProcessEnd, StartStage } from "../result/outcome.ts";

export interface LaunchRequest {
  readonly slot: number;
  /** Where it works; without it in the folder of its slot. */
  readonly folder?: string | undefined;
  /** `NAME=value`. */
  readonly env: readonly string[];
  readonly logBytes: number;
  /** Whether it is begun in a control group, where there are any. */
  readonly inGroup: boolean;
  /** The file that standard output goes to; null sends it to the log. It must not exist. */
  readonly stdoutPath: string | null;
  /** The first one is the path of the binary. */
  readonly argv: readonly string[];
}

export interface LaunchEnd {
  readonly end: ProcessEnd;
  /** Microseconds of the monotonic clock; 0 when it never started. */
  readonly startedUs: number;
  readonly endedUs: number;
  readonly peakBytes: number;
  readonly cpuMs: number;
  /** Descendants that outlived the process and were killed. */
  readonly strays: number;
  readonly log: string | null;
}

export interface Launch {
  readonly request: LaunchRequest;
  /** 0 until it has begun. */
  pid: number;
  startedUs: number;
  /** Whether it has begun in the control group of its slot. */
  inGroup: boolean;
  onBegan(): void;
  /** Called exactly once. */
  onEnd(end: LaunchEnd): void;
}

export type LauncherFrame =
  | {
      readonly kind: "began";
      readonly id: number;
      readonly pid: number;
      readonly startedUs: number;
      readonly inGroup: boolean;
    }
  | { readonly kind: "ended"; readonly id: number; readonly launch: LaunchEnd }
  | { readonly kind: "pong" };

const NUL = "\0";

function frame(letter: string, head: Buffer, text: Buffer): Buffer {
  const out = Buffer.allocUnsafe(5 + head.length + text.length);
  out.writeUInt32BE(1 + head.length + text.length, 0);
  out.write(letter, 4, "latin1");
  head.copy(out, 5);
  text.copy(out, 5 + head.length);
  return out;
}

function bytesOf(parts: readonly string[]): Buffer {
  const text = parts.join(NUL);
  return hasEscapedBytes(text) ? pathToBytes(text) : Buffer.from(text);
}

export function envFrame(envId: number, env: readonly string[]): Buffer {
  const head = Buffer.allocUnsafe(4);
  head.writeUInt32BE(envId, 0);
  return frame("E", head, bytesOf(env));
}

/** @throws {RangeError} for an argument with a NUL byte, which no process can be given. */
export function startFrame(id: number, envId: number, folder: string, request: LaunchRequest): Buffer {
  if (request.argv.some((argument) => argument.includes(NUL))) throw new RangeError("expected arguments without NUL");
  const head = Buffer.allocUnsafe(15);
  head.writeUInt32BE(id, 0);
  head.writeUInt16BE(request.slot, 4);
  head.writeUInt32BE(envId, 6);
  head.writeUInt32BE(request.logBytes, 10);
  head.writeUInt8(request.inGroup ? 1 : 0, 14);
  return frame("S", head, bytesOf([folder, request.stdoutPath ?? "", ...request.argv]));
}

export type LaunchSignal = "SIGTERM" | "SIGKILL" | "SIGSTOP" | "SIGCONT";

export function killFrame(id: number, signal: LaunchSignal): Buffer {
  const head = Buffer.allocUnsafe(5);
  head.writeUInt32BE(id, 0);
  head.writeUInt8(constants.signals[signal], 4);
  return frame("K", head, Buffer.alloc(0));
}

export function pingFrame(): Buffer {
  return frame("P", Buffer.alloc(0), Buffer.alloc(0));
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  push(bytes: Buffer): LauncherFrame[] {
    const data = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: LauncherFrame[] = [];
    let at = 0;
    while (data.length - at >= 4) {
      const length = data.readUInt32BE(at);
      if (data.length - at - 4 < length) break;
      frames.push(parseFrame(data.subarray(at + 4, at + 4 + length)));
      at += 4 + length;
    }
    this.#rest = data.subarray(at);
    return frames;
  }
}

function parseFrame(body: Buffer): LauncherFrame {
  const letter = String.fromCharCode(body[0] ?? 0);
  switch (letter) {
    case "B":
      return {
        ...{ kind: "began", id: body.readUInt32BE(1), pid: body.readUInt32BE(5) },
        ...{ startedUs: micros(body, 9), inGroup: body.readUInt8(17) === 1 },
      };
    case "X":
      return { kind: "ended", id: body.readUInt32BE(1), launch: parseEnd(body) };
    case "P":
      return { kind: "pong" };
    default:
      throw new TypeError(`expected a frame of the launcher, found ${JSON.stringify(letter)}`);
  }
}

function parseEnd(body: Buffer): LaunchEnd {
  return {
    end: endOf(body.readUInt8(9), body.readUInt32BE(10), body.readUInt8(14)),
    strays: body.readUInt32BE(15),
    startedUs: micros(body, 19),
    endedUs: micros(body, 27),
    peakBytes: micros(body, 35) * 1024,
    cpuMs: (micros(body, 43) + micros(body, 51)) / 1_000,
    log: logOf(body.subarray(71), micros(body, 59), body.readUInt32BE(67)),
  };
}

/** A 64-bit number below 2^53. */
function micros(body: Buffer, at: number): number {
  return body.readUInt32BE(at) * 0x1_0000_0000 + body.readUInt32BE(at + 4);
}

const stages: readonly StartStage[] = ["launcher", "fork", "folder", "output", "exec", "setup"];

function endOf(kind: number, code: number, stage: number): ProcessEnd {
  switch (kind) {
    case 0:
      return { kind: "exited", code };
    case 1:
      return { kind: "signalled", signal: signalName(code) };
    case 2:
      return {
        kind: "not-started",
        stage: stages[stage] ?? "launcher",
        errno: errnoNames.get(code) ?? `errno ${code}`,
      };
    default:
      return { kind: "dropped" };
  }
}

const errnoNames = namesByNumber(constants.errno);
const signalNames = namesByNumber(constants.signals);

/** Of two names with one number the first is the usual one (SIGABRT before SIGIOT). */
function namesByNumber(numbers: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  const entries = Object.entries(numbers).toReversed();
  return new Map(entries.map(([name, number]) => [number, name]));
}

function signalName(number: number): string {
  return signalNames.get(number) ?? `signal ${number}`;
}

/** Head and tail as text that any database takes, with a line between them that says how much is left out. */
function logOf(kept: Buffer, total: number, headLength: number): string | null {
  if (total === 0) return null;
  const left = total - kept.length;
  const text =
    left <= 0
      ? kept.toString("utf8")
      : `${kept.toString("utf8", 0, headLength)}\n[${left} bytes left out]\n${kept.toString("utf8", headLength)}`;
  return text.replaceAll(NUL, "\ufffd");
}
