/** How the built-in inputs of a model are written: what of a file becomes which tensor. */
import { z } from "zod";
import { bytes } from "./config-units.ts";
import { pinnedFile, tensorName } from "./model-parts.ts";
import { MiB } from "./resources.ts";

const window = z.strictObject({
  /** `middle` is the middle of the file. */
  at: z.enum(["head", "middle", "tail"]),
  length: z.int().min(1).max(16_777_216),
});
export type ByteWindow = Readonly<z.output<typeof window>>;

export const bytesInput = z.strictObject({
  kind: z.literal("bytes"),
  tensor: tensorName,
  /** Laid one behind the other in the tensor, one value per byte. */
  windows: z.array(window).min(1).max(8),
  /** Stands where a file has no more bytes: behind a head, in front of a tail, on both sides of a middle. */
  pad_value: z.int().min(-1).max(65_535).default(0),
  /** Taken off the outer ends of a window before it is cut to its length. */
  strip: z.enum(["none", "whitespace"]).default("none"),
  /** Bytes that are looked at for one window; more than its length where something is taken off. */
  block_bytes: bytes({ min: 1, max: 16 * MiB }).optional(),
  /** Each byte is multiplied by it; for tensors of floats. */
  scale: z.number().positive().default(1),
  empty: z.enum(["fail", "pad"]).default("fail"),
  /** Of a file that is longer than all windows together. */
  too_long: z.enum(["truncate", "fail"]).default("truncate"),
});

const jsonField = z.strictObject({
  /** Names between dots: `customer.age`, `items.0.price`. */
  path: z.string().min(1),
  /** Numbers that stand there, as a list, when it is more than one. */
  length: z.int().min(1).max(65_536).default(1),
  /** What words mean as numbers. */
  values: z.record(z.string(), z.number()).optional(),
  /** Stands for a field that is not there, or null; without it such a file fails. */
  missing: z.number().optional(),
});
export type JsonField = Readonly<z.output<typeof jsonField>>;

export const jsonInput = z.strictObject({
  kind: z.literal("json"),
  tensors: z
    .array(z.strictObject({ tensor: tensorName, fields: z.array(jsonField).min(1) }))
    .min(1)
    .max(64),
  max_bytes: bytes({ min: 1, max: 64 * MiB }).default(MiB),
});

export const textInput = z.strictObject({
  kind: z.literal("text"),
  /** The `tokenizer.json` of Hugging Face, and the `tokenizer_config.json` beside it. */
  tokenizer: pinnedFile,
  tokenizer_config: pinnedFile.optional(),
  tensors: z.strictObject({ ids: tensorName, mask: tensorName.optional(), types: tensorName.optional() }),
  max_tokens: z.int().min(1).max(131_072).default(512),
  pad_id: z.int().min(0).default(0),
  special_tokens: z.boolean().default(true),
  /** Bytes of a file that are read at most. */
  max_bytes: bytes({ min: 1, max: 64 * MiB }).default(MiB),
  /** `split`: in parts of `max_tokens`, whose answers become one. */
  too_long: z.enum(["truncate", "fail", "split"]).default("truncate"),
  split: z
    .strictObject({
      /** A file of more parts fails. */
      max_parts: z.int().min(1).max(65_536).default(256),
      /** Tokens at the end of a part that the next one begins with. */
      overlap_tokens: z.int().min(0).max(131_071).default(0),
    })
    .prefault({}),
});

const side = z.int().min(1).max(8_192);
const perColour = z.array(z.number()).min(1).max(3);

export const imageInput = z.strictObject({
  kind: z.literal("image"),
  tensor: tensorName,
  width: side,
  height: side,
  /** `stretch` both sides to these, `crop` the middle of what covers them, or `pad` what fits into them. */
  fit: z.enum(["stretch", "crop", "pad"]).default("stretch"),
  /** With `crop`: the shorter side gets this long before the middle is cut out; as long as it must be, when left out. */
  shorter_side: side.optional(),
  filter: z.enum(["nearest", "bilinear", "bicubic"]).default("bilinear"),
  colors: z.enum(["rgb", "bgr", "grey"]).default("rgb"),
  layout: z.enum(["nchw", "nhwc"]).default("nchw"),
  /** A pixel of 0 to 255 is multiplied by it; 1/255 for tensors of floats, 1 for whole numbers, when left out. */
  scale: z.number().positive().optional(),
  /** Taken off each colour, in the order of `colors`; then it is divided by `std`. */
  mean: perColour.optional(),
  std: z.array(z.number().positive()).min(1).max(3).optional(),
  /** 0 to 255, around an image that is padded. */
  pad_value: z.int().min(0).max(255).default(0),
  /** Of the file, and of what it holds once it is decoded: more is refused before that. */
  max_bytes: bytes({ min: 1, max: 256 * MiB }).default(32 * MiB),
  max_pixels: z.int().min(1).max(1_000_000_000).default(50_000_000),
});
