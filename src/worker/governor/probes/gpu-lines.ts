/** The lines of `nvidia-smi`, parsed. Pure. What a card does not tell (`[N/A]`, `[Not Supported]`) is null. */
import { MiB } from "../../../contract/resources.ts";

export interface GpuFacts {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  readonly memoryBytes: number | null;
  readonly usedBytes: number | null;
  /** Share of the last moment in which it computed, 0 to 1. */
  readonly utilisation: number | null;
  readonly temperatureC: number | null;
  readonly powerW: number | null;
}

export interface GpuProcess {
  readonly uuid: string;
  /** As the host numbers it: inside a container it is none of ours. */
  readonly pid: number;
  readonly usedBytes: number | null;
}

export const GPU_FIELDS = "index,uuid,name,memory.total,memory.used,utilization.gpu,temperature.gpu,power.draw";
export const GPU_PROCESS_FIELDS = "gpu_uuid,pid,used_memory";

/** A card; undefined for a line that is none. */
export function parseGpuLine(line: string): GpuFacts | undefined {
  const fields = line.split(",").map((field) => field.trim());
  const [index = "", uuid = "", name = "", total, used, utilisation, temperature, power] = fields;
  if (fields.length !== 8 || !/^\d+$/.test(index) || !/^GPU-[0-9a-fA-F-]+$/.test(uuid)) return undefined;
  const percent = amountOf(utilisation);
  return {
    index: Number(index),
    uuid,
    name,
    memoryBytes: mebibytes(total),
    usedBytes: mebibytes(used),
    utilisation: percent === null ? null : Math.min(1, percent / 100),
    temperatureC: amountOf(temperature),
    powerW: amountOf(power),
  };
}

/** A process on a card; undefined for a line that is none. */
export function parseGpuProcessLine(line: string): GpuProcess | undefined {
  const fields = line.split(",").map((field) => field.trim());
  const [uuid = "", pid = "", used] = fields;
  if (fields.length !== 3 || !uuid.startsWith("GPU-") || !/^\d+$/.test(pid)) return undefined;
  return { uuid, pid: Number(pid), usedBytes: mebibytes(used) };
}

function mebibytes(text: string | undefined): number | null {
  const amount = amountOf(text);
  return amount === null ? null : amount * MiB;
}

function amountOf(text: string | undefined): number | null {
  const value = text === undefined || text === "" ? NaN : Number(text);
  return Number.isFinite(value) && value >= 0 ? value : null;
}
