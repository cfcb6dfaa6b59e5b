/** Why a worker does not let a job in now. Rules of plugins have codes of their own: `RULE_NAME`. */

/** What an admission rule of ours objects with. */
export const deferCodes = [
  "MEM_NOW",
  "MEM_THRESHOLD",
  "MEM_FORECAST",
  "CALIBRATING",
  "CLASS_LIMIT",
  "NEIGHBOUR",
  "HOLDING",
  "CPU",
  "CPU_THRESHOLD",
  "PROCESSES",
  "PSI_MEM",
  "COOLDOWN",
  "SUSPENDED",
  "DISK_SPACE",
  "DISK_INODES",
  "PSI_IO",
  "PIDS",
  "FILES",
  "HOT",
  "POWER",
  "GPU",
  "GPU_MEM",
  "LABELS",
  "ALONE",
  "PAUSED",
  "DRAINING",
] as const;

export type DeferCode = (typeof deferCodes)[number] | `RULE_${string}`;
