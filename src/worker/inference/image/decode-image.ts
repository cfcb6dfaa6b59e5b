/** The one door to the decoder of images. */
import { JsColorType, Transformer } from "@napi-rs/image";

/** Pixels in rows from top to bottom. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** Grey, or red, green and blue. */
  readonly channels: 1 | 3;
  /** As the decoder left them: from one pixel to the next it is so many values, of which the first are the channels. */
  readonly data: Uint8Array | Uint16Array | Float32Array;
  readonly stride: number;
  /** What makes 255 of white. */
  readonly scale: number;
}

interface Format {
  /** Values of a pixel in the bytes, and how many of them are no transparency. */
  readonly values: number;
  readonly channels: 1 | 3;
  readonly bytes: 1 | 2;
}

const formats: Partial<Record<JsColorType, Format>> = {
  [JsColorType.L8]: { values: 1, channels: 1, bytes: 1 },
  [JsColorType.La8]: { values: 2, channels: 1, bytes: 1 },
  [JsColorType.Rgb8]: { values: 3, channels: 3, bytes: 1 },
  [JsColorType.Rgba8]: { values: 4, channels: 3, bytes: 1 },
  [JsColorType.L16]: { values: 1, channels: 1, bytes: 2 },
  [JsColorType.La16]: { values: 2, channels: 1, bytes: 2 },
  [JsColorType.Rgb16]: { values: 3, channels: 3, bytes: 2 },
  [JsColorType.Rgba16]: { values: 4, channels: 3, bytes: 2 },
};
/** 65,535 is white, as 255 is. */
const SHORT_TO_BYTE = 1 / 257;

/** Transparency is left out, and so is a note on how to turn the image. @throws what the decoder throws */
export function decodeImage(bytes: Uint8Array): Pixels {
  const image = new Transformer(bytes);
  const raw = image.rawPixelsSync();
  const { width, height, colorType } = image.metadataSync();
  const format = formats[colorType];
  if (format === undefined) throw new Error("pixels of 32-bit floats");
  const { values: stride, channels, bytes: depth } = format;
  if (depth === 1) return { width, height, channels, stride, data: raw, scale: 1 };
  const data = new Uint16Array(raw.buffer, raw.byteOffset, raw.byteLength / 2);
  return { width, height, channels, stride, data, scale: SHORT_TO_BYTE };
}
