/** What several parts of `model.yaml` are made of. */
import { z } from "zod";

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits in lower case");
export const fileName = z
  .string()
  .regex(/^(?!\/)(?!.*(?:^|\/)\.\.(?:\/|$))[^\0]+$/, "the name of a file inside the model's folder, without .. parts");
export const pinnedFile = z.strictObject({ file: fileName, sha256 });
export type PinnedFile = Readonly<z.output<typeof pinnedFile>>;
export const tensorName = z.string().min(1);
