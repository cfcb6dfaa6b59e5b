/** Figures in the words of a reason. */
import { MiB } from "../../contract/resources.ts";

export function bytes(value: number): string {
  return `${Math.round((value / MiB) * 10) / 10} MiB`;
}

export function percent(value: number): string {
  return `${Math.round(value * 1_000) / 10} %`;
}

export function count(value: number): string {
  return String(Math.round(value * 100) / 100);
}
