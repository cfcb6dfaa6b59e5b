/** The metrics of models and of the engines that run them. */
import { durations, type MetricDefinition } from "./metric-definition.ts";

export const inferenceMetrics = {
  headroom_inference_duration_seconds: {
    type: "histogram",
    help: "Time of one inference call, in the engine alone.",
    labels: ["model", "provider"],
    buckets: durations,
  },
  headroom_inference_batch_files: {
    type: "histogram",
    help: "Files in one inference call.",
    labels: ["model", "provider"],
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024],
  },
  headroom_inference_tokens_total: {
    type: "counter",
    help: "Tokens of texts and prompts that models read (kind in) and of answers that they wrote (kind out), without padding.",
    labels: ["model", "provider", "kind"],
  },
  headroom_inference_wait_seconds: {
    type: "histogram",
    help: "Time that the first file of a batch waited for the engine.",
    labels: ["model"],
    buckets: durations,
  },
  headroom_inference_out_of_memory_total: {
    type: "counter",
    help: "Batches that failed for lack of memory; their files went again in smaller ones.",
    labels: ["model", "provider"],
  },
  headroom_inference_ceiling_files: {
    type: "gauge",
    help: "Files that a batch may have now, as far as memory has shown, by the size that its files have at most; +Inf for the longest, and for models whose inputs are all of one length.",
    labels: ["model", "up_to_bytes"],
  },
  headroom_inference_operations: {
    type: "gauge",
    help: "Operations of a model by the provider that the runtime placed them on; told where there is a choice.",
    labels: ["model", "provider"],
  },
  headroom_engine_restarts_total: {
    type: "counter",
    help: "Ends of engine processes that were followed by another one, by reason.",
    labels: ["model", "reason"],
  },
} as const satisfies Record<`headroom_${string}`, MetricDefinition>;
