import type { Page } from "./page.ts";

export const inference: Page = {
  uid: "headroom-inference",
  title: "Inference and GPUs",
  rows: [
    {
      title: "Models",
      panels: [
        {
          title: "Files by model",
          unit: "perSecond",
          queries: [
            [
              'sum by (model, provider) (rate(headroom_files_processed_total{$f,model!=""}[$__rate_interval]))',
              "{{model}} {{provider}}",
            ],
          ],
        },
        {
          title: "Time of one call, p95",
          unit: "seconds",
          queries: [
            [
              "histogram_quantile(0.95, sum by (le, model, provider) (rate(headroom_inference_duration_seconds_bucket{$f}[$__rate_interval])))",
              "{{model}} {{provider}}",
            ],
          ],
        },
        {
          title: "Wait for the engine, p95",
          unit: "seconds",
          queries: [
            [
              "histogram_quantile(0.95, sum by (le, model) (rate(headroom_inference_wait_seconds_bucket{$f}[$__rate_interval])))",
              "{{model}}",
            ],
          ],
        },
        {
          title: "Files in one call, mean",
          unit: "count",
          queries: [
            [
              "sum by (model) (increase(headroom_inference_batch_files_sum{$f}[5m])) / sum by (model) (increase(headroom_inference_batch_files_count{$f}[5m]))",
              "{{model}}",
            ],
            [
              "max by (model, up_to_bytes) (headroom_inference_ceiling_files{$f})",
              "{{model}} at most, files up to {{up_to_bytes}} bytes",
            ],
          ],
        },
        {
          title: "Tokens by model",
          unit: "perSecond",
          queries: [
            [
              "sum by (model, kind) (rate(headroom_inference_tokens_total{$f}[$__rate_interval]))",
              "{{model}} {{kind}}",
            ],
          ],
        },
        {
          title: "Calls that lacked memory",
          unit: "count",
          queries: [["sum by (model) (increase(headroom_inference_out_of_memory_total{$f}[5m]))", "{{model}}"]],
        },
        {
          title: "Engines that were started anew",
          unit: "count",
          queries: [
            ["sum by (model, reason) (increase(headroom_engine_restarts_total{$f}[5m]))", "{{model}} {{reason}}"],
          ],
        },
      ],
    },
    {
      title: "GPUs",
      panels: [
        {
          title: "Utilisation",
          unit: "ratio",
          queries: [["max by (instance, gpu) (headroom_gpu_utilisation_ratio{$w})", "{{instance}} {{gpu}}"]],
        },
        {
          title: "Memory in use, and promised",
          unit: "ratio",
          queries: [
            [
              "max by (instance, gpu) (headroom_gpu_used_bytes{$w} / headroom_gpu_memory_bytes{$w})",
              "{{instance}} {{gpu}}",
            ],
            [
              "max by (instance, gpu) (headroom_gpu_reserved_bytes{$w} / headroom_gpu_memory_bytes{$w})",
              "{{instance}} {{gpu}} reserved",
            ],
          ],
        },
        {
          title: "Processes",
          unit: "count",
          queries: [["max by (instance, gpu) (headroom_gpu_processes{$w})", "{{instance}} {{gpu}}"]],
        },
        {
          title: "Temperature of a GPU",
          unit: "celsius",
          queries: [["max by (instance, gpu) (headroom_gpu_temperature_celsius{$w})", "{{instance}} {{gpu}}"]],
        },
        {
          title: "Power of a GPU",
          unit: "watts",
          queries: [["sum by (instance, gpu) (headroom_gpu_power_watts{$w})", "{{instance}} {{gpu}}"]],
        },
        {
          title: "The probe of GPUs reads",
          unit: "count",
          queries: [['min by (instance) (headroom_probe_up{$w,probe="gpu"})', "{{instance}}"]],
        },
      ],
    },
  ],
};
