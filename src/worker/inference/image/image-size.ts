/**
 * The size that the head of an image file says it has, before anything of it is decoded: a file of a few kilobytes may
 * say that it has as many pixels as no memory holds. Pure.
 */

export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** The formats of which `imageSize` knows the head, for people. */
export const imageFormats = "PNG, JPEG, WebP or BMP";

/** Undefined for bytes that are the head of no such image. */
export function imageSize(bytes: Uint8Array): ImageSize | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (textAt(bytes, 1, 3) === "PNG" && textAt(bytes, 12, 4) === "IHDR") return pngSize(view);
    if (view.getUint16(0) === START_OF_JPEG) return jpegSize(view);
    if (textAt(bytes, 0, 4) === "RIFF" && textAt(bytes, 8, 4) === "WEBP") return webpSize(view, textAt(bytes, 12, 4));
    return textAt(bytes, 0, 2) === "BM" ? bmpSize(view) : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined; // It ends before it has said all.
    throw error;
  }
}

function textAt(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

function pngSize(view: DataView): ImageSize {
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

const START_OF_JPEG = 0xffd8;

/** Walks the segments up to the first one that describes a frame. */
function jpegSize(view: DataView): ImageSize | undefined {
  for (let at = 2; ;) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) at += 1;
    else if (isFrame(marker)) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else at += 2 + view.getUint16(at + 2);
  }
}

/** C4, C8 and CC lie between the markers of frames, and are none. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

function webpSize(view: DataView, chunk: string): ImageSize | undefined {
  if (chunk === "VP8X") return { width: 1 + uint24(view, 24), height: 1 + uint24(view, 27) };
  if (chunk === "VP8 ") return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  if (chunk !== "VP8L") return undefined;
  const bits = view.getUint32(21, true);
  return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) };
}

function uint24(view: DataView, at: number): number {
  return view.getUint16(at, true) + view.getUint8(at + 2) * 65_536;
}

/** A height below zero says that rows go from top to bottom. */
function bmpSize(view: DataView): ImageSize {
  return { width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) };
}
