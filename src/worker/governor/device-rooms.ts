/** What a person is shown of a machine beside its memory and cores: the memory of its cards, and the fullest volume. Pure. */
import type { DeviceRoom } from "../../contract/status.ts";
import type { MachineReading } from "./machine.ts";

export function deviceRoomsOf({ gpus, volumes }: Pick<MachineReading, "gpus" | "volumes">): DeviceRoom[] {
  const cards = gpus.flatMap(({ index, memoryBytes, usedBytes }) =>
    memoryBytes === null || usedBytes === null ? [] : [{ name: `gpu ${index}`, usedBytes, totalBytes: memoryBytes }],
  );
  const disks = volumes.flatMap(({ use, freeBytes, totalBytes }) =>
    totalBytes > 0 ? [{ name: use, usedBytes: Math.max(0, totalBytes - freeBytes), totalBytes }] : [],
  );
  const fullest = disks.toSorted((a, b) => b.usedBytes / b.totalBytes - a.usedBytes / a.totalBytes).slice(0, 1);
  return [...cards, ...fullest];
}
