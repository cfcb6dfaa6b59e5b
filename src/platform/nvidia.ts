/** Whether NVIDIA's driver is loaded on this machine. */
import { existsSync } from "node:fs";

/** What a loaded driver shows of itself. */
export const DRIVER_FILES: readonly string[] = ["/proc/driver/nvidia/version", "/dev/nvidia0"];

export function hasNvidiaDriver(files = DRIVER_FILES): boolean {
  return files.some((path) => existsSync(path));
}
