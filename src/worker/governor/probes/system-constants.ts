/** Page size and clock ticks of this machine, from the auxiliary vector that the kernel hands to each process. */
import { readFileSync } from "node:fs";

const AT_PAGESZ = 6n;
const AT_CLKTCK = 17n;

let known: { readonly pageBytes: number; readonly ticksPerSecond: number } | undefined;

export function pageBytes(): number {
  return constants().pageBytes;
}

/** The unit of the times in `/proc`: ticks per second. */
export function clockTicks(): number {
  return constants().ticksPerSecond;
}

function constants(): { readonly pageBytes: number; readonly ticksPerSecond: number } {
  known ??= loadConstants();
  return known;
}

function loadConstants(): { readonly pageBytes: number; readonly ticksPerSecond: number } {
  const usual = { pageBytes: 4096, ticksPerSecond: 100 };
  try {
    const vector = readFileSync("/proc/self/auxv");
    const values = new Map<bigint, number>();
    for (let at = 0; at + 16 <= vector.length; at += 16) {
      values.set(vector.readBigUInt64LE(at), Number(vector.readBigUInt64LE(at + 8)));
    }
    return {
      pageBytes: values.get(AT_PAGESZ) ?? usual.pageBytes,
      ticksPerSecond: values.get(AT_CLKTCK) ?? usual.ticksPerSecond,
    };
  } catch {
    // Not Linux, or hidden: nothing that these figures are used for can be read there either.
    return usual;
  }
}
