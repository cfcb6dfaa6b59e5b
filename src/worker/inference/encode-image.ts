/** An image as one row of a tensor: decoded, brought to the size of the model, its colours brought to their range. */
import { messageOf } from "../../contract/errors.ts";
import type { ImageInput } from "../../contract/model-manifest.ts";
import { badInput, type Failure } from "../result/outcome.ts";
import type { Encoder, Feed } from "./encoder.ts";
import { decodeImage, type Pixels } from "./image/decode-image.ts";
import { fitImage } from "./image/image-fit.ts";
import { imageFormats, imageSize } from "./image/image-size.ts";
import { resample, type Resampled } from "./image/resample.ts";
import type { FileContent } from "./input-file.ts";
import { arrayFor, isFloatType, type NumberArray } from "./tensor-array.ts";

const BYTE = 255;
/** What the eye makes of each colour (ITU-R BT.601), as Pillow has it. */
const GREY = [0.299, 0.587, 0.114] as const;

export class ImageEncoder implements Encoder {
  readonly rowBytes: number;
  readonly #input: ImageInput;
  readonly #type: string;
  readonly #channels: 1 | 3;
  readonly #length: number;
  /** What a colour is multiplied by, and what is added then. */
  readonly #factors: readonly number[];
  readonly #offsets: readonly number[];
  #values: NumberArray;

  constructor(input: ImageInput, type: string) {
    this.#input = input;
    this.#type = type;
    this.#channels = input.colors === "grey" ? 1 : 3;
    this.#length = input.width * input.height * this.#channels;
    this.#values = arrayFor(type, 0);
    this.rowBytes = this.#length * this.#values.bytesPerValue;
    const scale = input.scale ?? (isFloatType(type) ? 1 / BYTE : 1);
    const colours = Array.from({ length: this.#channels }, (_, colour) => colour);
    this.#factors = colours.map((colour) => scale / (input.std?.[colour] ?? 1));
    this.#offsets = colours.map((colour) => -(input.mean?.[colour] ?? 0) / (input.std?.[colour] ?? 1));
  }

  begin(rows: number): void {
    if (this.#values.length < rows * this.#length) this.#values = arrayFor(this.#type, rows * this.#length);
  }

  add(row: number, content: FileContent): 1 | Failure {
    const pixels = this.#pixelsOf(content);
    if ("class" in pixels) return pixels;
    this.#lay(row * this.#length, pixels);
    return 1;
  }

  feeds(rows: number): Record<string, Feed> {
    const { tensor, width, height, layout } = this.#input;
    const data = this.#values.first(rows * this.#length);
    const dims = layout === "nchw" ? [rows, this.#channels, height, width] : [rows, height, width, this.#channels];
    return { [tensor]: { type: this.#type, data, dims } };
  }

  #pixelsOf(content: FileContent): Pixels | Failure {
    const { max_bytes: maxBytes, max_pixels: maxPixels } = this.#input;
    if (content.bytes === 0) return badInput("expected an image, found 0 bytes");
    if (content.bytes > maxBytes)
      return badInput(`expected a file of at most ${maxBytes} bytes, found ${content.bytes}`);
    const bytes = content.slice(0, content.bytes);
    const size = imageSize(bytes);
    if (size === undefined) {
      const head = Buffer.from(bytes.subarray(0, 8)).toString("hex");
      return badInput(`expected an image (${imageFormats}), found a file that begins with ${head}`);
    }
    const { width, height } = size;
    if (width * height > maxPixels) {
      return badInput(`expected an image of at most ${maxPixels} pixels, found ${width} by ${height}`);
    }
    try {
      return decodeImage(bytes);
    } catch (error) {
      return badInput(`expected an image that can be decoded, found: ${messageOf(error)}`);
    }
  }

  #lay(start: number, image: Pixels): void {
    const { across, down, left, top } = fitImage(image, this.#input);
    const part = resample(image, { across, down, filter: this.#input.filter });
    const { width, height, pad_value: pad } = this.#input;
    const isPadded = part.width < width || part.height < height;
    for (let channel = 0; channel < this.#channels; channel += 1) {
      const colour = colourOf(part, this.#input.colors, channel);
      if (isPadded) this.#fill(start, channel, pad);
      for (let y = 0; y < part.height; y += 1) {
        for (let x = 0; x < part.width; x += 1) {
          this.#set(start + this.#placeOf(channel, left + x, top + y), channel, colour(y * part.width + x));
        }
      }
    }
  }

  #fill(start: number, channel: number, value: number): void {
    const { width, height } = this.#input;
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) this.#set(start + this.#placeOf(channel, x, y), channel, value);
    }
  }

  #placeOf(channel: number, x: number, y: number): number {
    const { width, height, layout } = this.#input;
    if (layout === "nchw") return (channel * height + y) * width + x;
    return (y * width + x) * this.#channels + channel;
  }

  #set(at: number, channel: number, value: number): void {
    // A bicubic filter goes beyond the range at sharp edges.
    const within = Math.min(BYTE, Math.max(0, value));
    const scaled = within * (this.#factors[channel] ?? 1) + (this.#offsets[channel] ?? 0);
    this.#values.set(at, isFloatType(this.#type) ? scaled : Math.round(scaled));
  }
}

/** The value of a pixel by its number, for one channel of the tensor. */
function colourOf(
  { channels, data }: Resampled,
  colors: ImageInput["colors"],
  channel: number,
): (pixel: number) => number {
  if (channels === 1) return (pixel) => data[pixel] ?? 0;
  if (colors === "grey") {
    return (pixel) => GREY.reduce((sum, share, colour) => sum + share * (data[pixel * 3 + colour] ?? 0), 0);
  }
  const place = colors === "bgr" ? 2 - channel : channel;
  return (pixel) => data[pixel * 3 + place] ?? 0;
}
