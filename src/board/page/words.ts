/** Figures, times and names as people read them. */
import { printablePath } from "../../contract/path-bytes.ts";
import { GiB, KiB, MiB } from "../../contract/resources.ts";
import { html, type Html } from "./html.ts";

const NONE = "–";
const whole = new Intl.NumberFormat("en");

export function countWords(count: number | null): string {
  return count === null ? NONE : whole.format(count);
}

export function bytesWords(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return NONE;
  for (const [size, unit] of [
    [GiB, "GiB"],
    [MiB, "MiB"],
    [KiB, "KiB"],
  ] as const) {
    if (bytes >= size) return `${(bytes / size).toFixed(bytes >= 100 * size ? 0 : 1)} ${unit}`;
  }
  return `${whole.format(bytes)} B`;
}

export function durationWords(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function rateWords(perSecond: number | null): string {
  if (perSecond === null) return NONE;
  if (perSecond > 0 && perSecond < 0.1) return `${(perSecond * 60).toFixed(1)} files/min`;
  return `${perSecond >= 100 ? whole.format(Math.round(perSecond)) : perSecond.toFixed(1)} files/s`;
}

export function percentWords(ratio: number | null): string {
  if (ratio === null) return NONE;
  // 100 % is said only when all is done.
  return `${Math.floor(ratio * 100)} %`;
}

/** A moment, to the second, in UTC. */
export function timeTag(atMs: number | null): Html {
  if (atMs === null) return html`${NONE}`;
  const iso = new Date(atMs).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time>`;
}

/** A path on its own, so that its characters cannot reorder what stands around it. */
export function pathTag(path: string): Html {
  return html`<bdi class="path">${printablePath(path)}</bdi>`;
}

/** A link to the page of a run's file. */
export function fileHref(runId: string, path: string): string {
  const parts = printablePath(path).split("/").map(encodeURIComponent);
  return `${runHref(runId)}/files/${parts.join("/")}`;
}

export function runHref(runId: string): string {
  return `/runs/${encodeURIComponent(runId)}`;
}

/** A path with these parameters; those without a value are left out. */
export function hrefWith(path: string, query: Readonly<Record<string, string | undefined>>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) params.set(name, value);
  return params.size === 0 ? path : `${path}?${params.toString()}`;
}
