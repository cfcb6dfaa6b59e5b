/**
 * What kind of machine this is, for people: read once, in the background, long after the worker has started to work.
 * The only importer of systeminformation, which forks for most of what it knows and must never be near the governor.
 */
import { messageOf } from "../../contract/errors.ts";
import type { Logger } from "../../platform/logger.ts";

export interface Inventory {
  readonly cpuModel: string | null;
  readonly cores: number | null;
  readonly os: string | null;
  readonly kernel: string | null;
  readonly disks: readonly { readonly name: string; readonly kind: string; readonly bytes: number }[];
  readonly gpus: readonly string[];
}

/** Reads the inventory. A part that cannot be read is null or empty, and logged; it never rejects. */
export async function loadInventory(logger: Logger): Promise<Inventory> {
  const attempt = async <T>(part: string, read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      logger.warn({ part, reason: messageOf(error) }, "part of the machine's inventory could not be read");
      return undefined;
    }
  };
  // Loaded now: it is large, and a worker of one command never comes here.
  const reader = await attempt("all", () => import("systeminformation"));
  if (reader === undefined) return { cpuModel: null, cores: null, os: null, kernel: null, disks: [], gpus: [] };
  // One after the other: each forks, and a worker that starts has better uses for its cores.
  const processor = await attempt("cpu", reader.cpu);
  const system = await attempt("os", reader.osInfo);
  const disks = await attempt("disks", reader.diskLayout);
  const cards = await attempt("graphics", reader.graphics);
  return {
    cpuModel: known(processor && `${processor.manufacturer} ${processor.brand}`),
    cores: processor?.cores ?? null,
    os: known(system && `${system.distro} ${system.release}`),
    kernel: known(system?.kernel),
    disks: (disks ?? []).map((disk) => ({ name: disk.name || disk.device, kind: disk.type, bytes: disk.size })),
    gpus: (cards?.controllers ?? []).map((card) => `${card.vendor} ${card.model}`.trim()).filter((name) => name !== ""),
  };
}

function known(text: string | undefined): string | null {
  const trimmed = text?.trim() ?? "";
  return trimmed === "" ? null : trimmed;
}
