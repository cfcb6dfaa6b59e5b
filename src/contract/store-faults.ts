/** Why a database that answers takes no writes: no room, not to be written now (a replica, a mount), or a disk that fails. */
export const writeFaults = ["full", "read-only", "disk"] as const;
export type WriteFault = (typeof writeFaults)[number];
