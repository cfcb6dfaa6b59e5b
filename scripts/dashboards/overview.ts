import type { Page } from "./page.ts";

export const overview: Page = {
  uid: "headroom-overview",
  title: "Overview",
  rows: [
    {
      title: "Now",
      panels: [
        {
          kind: "figure",
          title: "Files per second",
          unit: "perSecond",
          queries: [["sum(rate(headroom_results_total{$f}[$__rate_interval]))", "files"]],
        },
        {
          kind: "figure",
          title: "Files that fail",
          unit: "ratio",
          note: "Over five minutes; without files that are refused for what they hold, by the policy, or are cancelled.",
          queries: [["max(headroom:failure_ratio:rate5m{$f})", "failed"]],
        },
        {
          kind: "figure",
          title: "Open runs",
          unit: "count",
          queries: [['sum(headroom:queue_jobs{$f,job_name="report"})', "runs"]],
        },
        {
          kind: "figure",
          title: "Oldest job that waits",
          unit: "seconds",
          queries: [['max(headroom:queue_oldest_age_seconds{$f,state=~"waiting|prioritized"})', "age"]],
        },
        {
          kind: "figure",
          title: "Workers",
          unit: "count",
          queries: [["max by (state) (headroom_workers{$f})", "{{state}}"]],
        },
        {
          kind: "figure",
          title: "Alerts that fire",
          unit: "count",
          queries: [['count(ALERTS{alertname=~"Headroom.*",alertstate="firing"}) or vector(0)', "alerts"]],
        },
      ],
    },
    {
      title: "Work",
      panels: [
        {
          kind: "areas",
          title: "Files by outcome",
          unit: "perSecond",
          queries: [["sum by (outcome) (rate(headroom_results_total{$f}[$__rate_interval]))", "{{outcome}}"]],
        },
        {
          kind: "areas",
          title: "Jobs by state",
          unit: "count",
          queries: [["sum by (state) (headroom:queue_jobs{$f})", "{{state}}"]],
        },
        {
          title: "Oldest job that waits, by profile",
          unit: "seconds",
          note: "Goes on rising while nothing ends, when the times of claims say nothing.",
          queries: [
            [
              'max by (job_name, profile) (headroom:queue_oldest_age_seconds{$f,state=~"waiting|prioritized"})',
              "{{job_name}} {{profile}}",
            ],
          ],
        },
        {
          title: "Workers wanted, and there",
          unit: "count",
          note: "By the scale signal: of all jobs that could begin now; paused queues and what no worker could run do not count.",
          queries: [
            ["max by (profile) (headroom_scaling_workers_wanted{$f})", "wanted for {{profile}}"],
            ['max(headroom_workers{$f,state="working"})', "there"],
          ],
        },
        {
          title: "Failure budget burnt",
          unit: "ratio",
          note: "The share of files that fail, over a short and a long window, against 14.4 and 6 times the objective.",
          queries: [
            ["max(headroom:failure_ratio:rate5m{$f})", "5 minutes"],
            ["max(headroom:failure_ratio:rate1h{$f})", "1 hour"],
            ["max(headroom:failure_ratio:rate6h{$f})", "6 hours"],
            ["14.4 * headroom:failure_budget", "critical"],
            ["6 * headroom:failure_budget", "warning"],
          ],
        },
        {
          title: "Claims and refusals of the governors",
          unit: "perSecond",
          queries: [["sum by (decision) (rate(headroom_admissions_total{$f}[$__rate_interval]))", "{{decision}}"]],
        },
        {
          title: "Runs that ended",
          unit: "perSecond",
          queries: [["sum by (state) (rate(headroom_runs_total{$f}[$__rate_interval]))", "{{state}}"]],
        },
      ],
    },
    {
      title: "Processes",
      panels: [
        {
          title: "Up",
          unit: "count",
          queries: [['sum by (process) (up{job=~".*headroom.*",$f})', "{{process}}"]],
        },
        {
          title: "Versions",
          unit: "count",
          queries: [["count by (process, version) (headroom_build_info{$f})", "{{process}} {{version}}"]],
        },
        {
          title: "Writes that the store refused",
          unit: "count",
          queries: [
            ["sum by (reason) (increase(headroom_store_write_failures_total{$f}[5m]))", "{{reason}} in 5 minutes"],
          ],
        },
        {
          title: "Event loop lag, p99",
          unit: "seconds",
          queries: [['max by (instance) (headroom_event_loop_lag_seconds{$w,quantile="0.99"})', "{{instance}}"]],
        },
        {
          title: "Requests by status",
          unit: "perSecond",
          queries: [["sum by (status) (rate(headroom_http_requests_total{$f}[$__rate_interval]))", "{{status}}"]],
        },
        {
          title: "Time to answer a request, p95",
          unit: "seconds",
          queries: [
            [
              "histogram_quantile(0.95, sum by (le, route) (rate(headroom_http_request_duration_seconds_bucket{$f}[$__rate_interval])))",
              "{{route}}",
            ],
          ],
        },
        {
          title: "Runs that the intake refused",
          unit: "perSecond",
          queries: [["sum by (reason) (rate(headroom_intake_refused_total{$f}[$__rate_interval]))", "{{reason}}"]],
        },
      ],
    },
  ],
};
