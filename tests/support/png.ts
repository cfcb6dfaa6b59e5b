/** PNG files written byte by byte, so that no decoder has to be trusted to make its own tests. */
import { crc32, deflateSync } from "node:zlib";

const colourTypes = { grey: [0, 1], rgb: [2, 3], greyAlpha: [4, 2], rgba: [6, 4] } as const;

/** `values` are rows from top to bottom, 8 bits each; `bits: 16` takes values of 16. */
export function png(
  {
    width,
    height,
    colour = "rgb",
    bits = 8,
  }: { width: number; height: number; colour?: keyof typeof colourTypes; bits?: 8 | 16 },
  values: readonly number[],
): Buffer {
  const [type, channels] = colourTypes[colour];
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([bits, type], 8);
  const perRow = width * channels;
  const rows = Array.from({ length: Math.min(height, Math.ceil(values.length / perRow)) }, (_, y) => {
    const row = values.slice(y * perRow, (y + 1) * perRow);
    return Buffer.from([0, ...(bits === 8 ? row : row.flatMap((value) => [value >> 8, value & 255]))]);
  });
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", head),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(name: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name), content]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(content.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}
