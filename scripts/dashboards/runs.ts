import type { Page, Query } from "./page.ts";

const quantiles = (metric: string, by: string): readonly Query[] =>
  ["0.5", "0.95", "0.99"].map((quantile): Query => {
    const rate = `sum by (le, ${by}) (rate(${metric}_bucket{$f}[$__rate_interval]))`;
    return [`histogram_quantile(${quantile}, ${rate})`, `{{${by}}} p${Number(quantile) * 100}`];
  });

export const runs: Page = {
  uid: "headroom-runs",
  title: "Runs and files",
  rows: [
    {
      title: "Files",
      panels: [
        {
          kind: "areas",
          title: "Files by profile",
          unit: "perSecond",
          queries: [["sum by (profile) (rate(headroom_files_processed_total{$f}[$__rate_interval]))", "{{profile}}"]],
        },
        {
          kind: "areas",
          title: "Failures by class",
          unit: "perSecond",
          queries: [
            [
              'sum by (failure_class) (rate(headroom_results_total{$f,outcome=~"failed|quarantined"}[$__rate_interval]))',
              "{{failure_class}}",
            ],
          ],
        },
        {
          kind: "areas",
          title: "Attempts that are repeated",
          unit: "perSecond",
          queries: [
            ["sum by (failure_class) (rate(headroom_retries_total{$f}[$__rate_interval]))", "{{failure_class}}"],
          ],
        },
        { title: "Time of a file", unit: "seconds", queries: quantiles("headroom_file_duration_seconds", "profile") },
        { title: "Time of a chunk", unit: "seconds", queries: quantiles("headroom_chunk_duration_seconds", "profile") },
        { title: "Wait for a claim", unit: "seconds", queries: quantiles("headroom_job_wait_seconds", "profile") },
      ],
    },
    {
      title: "Queues",
      panels: [
        {
          kind: "areas",
          title: "Jobs that wait",
          unit: "count",
          queries: [['sum by (queue) (headroom:queue_jobs{$f,state=~"waiting|prioritized"})', "{{queue}}"]],
        },
        {
          kind: "areas",
          title: "Jobs that run",
          unit: "count",
          queries: [['sum by (queue) (headroom:queue_jobs{$f,state="active"})', "{{queue}}"]],
        },
        {
          title: "Age of the oldest job that runs",
          unit: "seconds",
          queries: [['max by (queue) (headroom:queue_oldest_age_seconds{$f,state="active"})', "{{queue}}"]],
        },
      ],
    },
    {
      title: "What went wrong",
      panels: [
        {
          title: "Jobs taken back from lost workers",
          unit: "count",
          queries: [["sum(increase(headroom_stalled_jobs_total{$f}[5m]))", "in 5 minutes"]],
        },
        {
          title: "Late results that were refused",
          unit: "count",
          queries: [["sum(increase(headroom_fenced_total{$f}[5m]))", "in 5 minutes"]],
        },
        {
          title: "What the leader mended",
          unit: "count",
          queries: [["sum by (repair) (increase(headroom_repairs_total{$f}[5m]))", "{{repair}}"]],
        },
      ],
    },
    {
      title: "What was learned",
      panels: [
        {
          title: "Taken over expected, middle",
          unit: "count",
          note: "1 is a perfect guess; far above 1 too little was reserved.",
          queries: [
            [
              "histogram_quantile(0.5, sum by (le, target, basis, profile) (rate(headroom_prediction_ratio_bucket{$f}[$__rate_interval])))",
              "{{profile}} {{target}} {{basis}}",
            ],
          ],
        },
        {
          title: "Processes that took far more than their kind",
          unit: "count",
          queries: [
            ["sum by (target, profile) (increase(headroom_anomalies_total{$f}[5m]))", "{{target}} {{profile}}"],
          ],
        },
        {
          title: "Times of schedules",
          unit: "count",
          queries: [["sum by (result) (increase(headroom_schedule_starts_total{$f}[1h]))", "{{result}} in 1 hour"]],
        },
      ],
    },
  ],
};
