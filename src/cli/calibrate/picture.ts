/** The memory of the measured files over their size, for a terminal and as SVG. Pure. */
import { formatBytes } from "../format.ts";
import type { CalibratedFile } from "./proposal.ts";

const COLUMNS = 56;
const ROWS = 10;
const WIDTH = 640;
const HEIGHT = 360;
const MARGIN = 56;

interface Spot {
  /** From 0 to 1, left to right and bottom to top. */
  readonly x: number;
  readonly y: number;
}

interface Plot {
  readonly spots: readonly Spot[];
  /** Where the proposed memory lies. */
  readonly line: number;
  readonly largest: CalibratedFile["inputBytes"];
  readonly top: number;
}

function plotOf(files: readonly CalibratedFile[], memoryBytes: number): Plot {
  const largest = Math.max(1, ...files.map(({ inputBytes }) => inputBytes));
  const top = 1.1 * Math.max(memoryBytes, ...files.map(({ peakBytes }) => peakBytes));
  const spots = files.map(({ inputBytes, peakBytes }) => ({ x: inputBytes / largest, y: peakBytes / top }));
  return { spots, line: memoryBytes / top, largest, top };
}

/** Lines of text: `•` is a file, `-` the memory that is proposed. */
export function pictureText(files: readonly CalibratedFile[], memoryBytes: number): string[] {
  const { spots, line, largest, top } = plotOf(files, memoryBytes);
  const rows = Array.from({ length: ROWS }, () => Array<string>(COLUMNS).fill(" "));
  const rowOf = (y: number) => rows[Math.min(ROWS - 1, ROWS - 1 - Math.min(ROWS - 1, Math.floor(y * ROWS)))];
  rowOf(line)?.fill("-");
  for (const { x, y } of spots) {
    const row = rowOf(y);
    if (row !== undefined) row[Math.round(x * (COLUMNS - 1))] = "•";
  }
  const label = formatBytes(top);
  const pad = " ".repeat(label.length);
  return [
    ...rows.map((row, at) => `${at === 0 ? label : pad} │${row.join("").trimEnd()}`),
    `${pad} └${"─".repeat(COLUMNS)}`,
    `${pad}  0${formatBytes(largest).padStart(COLUMNS - 1)}`,
    `${pad}  • peak memory of one file over its size   - proposed for each process`,
  ];
}

export function pictureSvg(files: readonly CalibratedFile[], memoryBytes: number, title: string): string {
  const { spots, line, largest, top } = plotOf(files, memoryBytes);
  const x = (share: number) => round(MARGIN + share * (WIDTH - 2 * MARGIN));
  const y = (share: number) => round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN));
  const text = (at: Spot, words: string) => `<text x="${at.x}" y="${at.y}">${escapeXml(words)}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<path d="M${x(0)} ${y(1)}V${y(0)}H${x(1)}" fill="none" stroke="#444"/>`,
    `<path d="M${x(0)} ${y(line)}H${x(1)}" stroke="#c33" stroke-dasharray="6 4"/>`,
    ...spots.map((spot) => `<circle cx="${x(spot.x)}" cy="${y(spot.y)}" r="4" fill="#26c"/>`),
    text({ x: MARGIN, y: MARGIN / 2 }, title),
    text({ x: 4, y: y(1) }, formatBytes(top)),
    text({ x: x(1) - 40, y: HEIGHT - MARGIN / 2 }, formatBytes(largest)),
    text({ x: x(0) + 8, y: y(line) - 6 }, `proposed: ${formatBytes(memoryBytes)}`),
    "</svg>",
    "",
  ].join("\n");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
