/** How long the folders of flows' runs are kept. */
import { z } from "zod";
import { bytes } from "./config-units.ts";

const GiB = 1_024 ** 3;

/** Section `retention` of the configuration; what is absent is no limit. */
export const retentionSchema = z.strictObject({
  /** Days after its end that the folder of a flow's run is kept. */
  folder_days: z.int().min(1).max(36_500).optional(),
  /** Bytes of all folders of flows' runs that have ended; beyond them the oldest go. */
  folder_max: bytes({ min: 0, max: 1_024 * 1_024 * GiB }).optional(),
});
export type Retention = Readonly<z.output<typeof retentionSchema>>;
