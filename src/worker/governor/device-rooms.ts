/** What a person is shown of a machine beside its memory and cores: the memory of its cards, and the fullest volume. Pure. */
import type { DeviceRoom } from "../../contract/status.ts";
import type { MachineReading } from "./machine.ts";
import { cardUseOf, type CardJob, type CardUse } from "./reservations.ts";

export function deviceRoomsOf(
  { gpus, volumes }: Pick<MachineReading, "gpus" | "volumes">,
  jobs: readonly CardJob[],
  neighbours: readonly { readonly cardUse?: readonly CardUse[] | undefined }[] = [],
): DeviceRoom[] {
  const uses = gpus.length === 0 ? [] : [...jobs.map(cardUseOf), ...neighbours.flatMap(({ cardUse = [] }) => cardUse)];
  const cards = gpus.flatMap(({ index, uuid, memoryBytes, usedBytes }) => {
    if (memoryBytes === null || usedBytes === null) return [];
    const reservedBytes = uses.reduce((sum, use) => sum + (use?.card === uuid ? use.bytes : 0), 0);
    return [{ name: `gpu ${index}`, usedBytes, totalBytes: memoryBytes, reservedBytes }];
  });
  const disks = volumes.flatMap(({ use, freeBytes, totalBytes }) =>
    totalBytes > 0 ? [{ name: use, usedBytes: Math.max(0, totalBytes - freeBytes), totalBytes }] : [],
  );
  const fullest = disks.toSorted((a, b) => b.usedBytes / b.totalBytes - a.usedBytes / a.totalBytes).slice(0, 1);
  return [...cards, ...fullest];
}
