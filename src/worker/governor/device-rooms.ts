/** What a person is shown of a machine beside its memory and cores: the memory of its cards, and the fullest volume. Pure. */
import type { DeviceRoom } from "../../contract/status.ts";
import type { MachineReading } from "./machine.ts";
import { committedGpuBytes, type Reservation } from "./reservations.ts";

export function deviceRoomsOf(
  { gpus, volumes }: Pick<MachineReading, "gpus" | "volumes">,
  jobs: readonly Pick<Reservation, "card" | "gpuBytes" | "gpuUse">[],
): DeviceRoom[] {
  const cards = gpus.flatMap(({ index, uuid, memoryBytes, usedBytes }) => {
    if (memoryBytes === null || usedBytes === null) return [];
    const job = jobs.find(({ card }) => card === uuid);
    const reservedBytes = job === undefined ? 0 : committedGpuBytes(job);
    return [{ name: `gpu ${index}`, usedBytes, totalBytes: memoryBytes, reservedBytes }];
  });
  const disks = volumes.flatMap(({ use, freeBytes, totalBytes }) =>
    totalBytes > 0 ? [{ name: use, usedBytes: Math.max(0, totalBytes - freeBytes), totalBytes }] : [],
  );
  const fullest = disks.toSorted((a, b) => b.usedBytes / b.totalBytes - a.usedBytes / a.totalBytes).slice(0, 1);
  return [...cards, ...fullest];
}
