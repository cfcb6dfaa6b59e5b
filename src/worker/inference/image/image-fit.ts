/** Where an image goes in the frame that a model looks at. Pure. */
import type { ImageInput } from "../../../contract/model-manifest.ts";
import type { ImageSize } from "./image-size.ts";
import type { Side } from "./resample.ts";

export interface Fit {
  readonly across: Side;
  readonly down: Side;
  /** Where what is resized begins in the frame; what is around it is padding. */
  readonly left: number;
  readonly top: number;
}

type Frame = Pick<ImageInput, "width" | "height" | "fit" | "shorter_side">;

/** Sides are rounded, and halves of pixels go to the end: no side gets shorter than what is cut out of it. */
export function fitImage({ width, height }: ImageSize, frame: Frame): Fit {
  if (frame.fit === "stretch") return middle({ width: frame.width, height: frame.height }, frame);
  const ratios = [frame.width / width, frame.height / height];
  const ratio = frame.fit === "pad" ? Math.min(...ratios) : coverRatio({ width, height }, frame, ratios);
  const resized = { width: Math.round(width * ratio), height: Math.round(height * ratio) };
  if (frame.fit === "pad")
    return middle({ width: Math.max(1, resized.width), height: Math.max(1, resized.height) }, frame);
  return middle({ width: Math.max(frame.width, resized.width), height: Math.max(frame.height, resized.height) }, frame);
}

function coverRatio(image: ImageSize, frame: Frame, ratios: readonly number[]): number {
  if (frame.shorter_side === undefined) return Math.max(...ratios);
  return frame.shorter_side / Math.min(image.width, image.height);
}

function middle(resized: ImageSize, frame: ImageSize): Fit {
  const sideOf = (length: number, wanted: number): Side => {
    const count = Math.min(length, wanted);
    return { length, from: (length - count) >> 1, count };
  };
  const [across, down] = [sideOf(resized.width, frame.width), sideOf(resized.height, frame.height)];
  return { across, down, left: (frame.width - across.count) >> 1, top: (frame.height - down.count) >> 1 };
}
