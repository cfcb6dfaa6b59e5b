/** `{date}` and `{time}` in the texts of a schedule's run: each start may have a folder of its own. */
import { showTime } from "./cron.ts";

/** A run request with the scheduled time in the place of its placeholders, as the clock of the zone shows it. */
export function namePlaceholders(value: unknown, zone: string, timeMs: number): unknown {
  const shown = showTime(zone, timeMs);
  const date = shown.slice(0, 10);
  // With the distance to UTC: a time that exists twice is two names.
  const time = `${date}T${shown.slice(11, 19)}${shown.slice(20)}`.replaceAll(":", "-");
  const replace = (part: unknown): unknown => {
    if (typeof part === "string")
      return part.replace(/(?<!\{)\{(date|time)\}/g, (_all, name: string) => (name === "date" ? date : time));
    if (Array.isArray(part)) return part.map(replace);
    if (typeof part !== "object" || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, below]) => [key, replace(below)]));
  };
  return replace(value);
}
