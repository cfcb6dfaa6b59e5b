import type { Page } from "./page.ts";

export const flows: Page = {
  uid: "headroom-flows",
  title: "Agents and flows",
  rows: [
    {
      title: "Calls of nodes",
      panels: [
        {
          kind: "areas",
          title: "Calls by kind",
          unit: "perSecond",
          queries: [["sum by (kind) (rate(headroom_flow_calls_total{$f}[$__rate_interval]))", "{{kind}}"]],
        },
        {
          kind: "areas",
          title: "Calls by outcome",
          unit: "perSecond",
          queries: [["sum by (outcome) (rate(headroom_flow_calls_total{$f}[$__rate_interval]))", "{{outcome}}"]],
        },
        {
          title: "Calls that fail, of all",
          unit: "ratio",
          queries: [
            [
              'sum by (kind) (increase(headroom_flow_calls_total{$f,outcome=~"failed|quarantined"}[1h])) / (sum by (kind) (increase(headroom_flow_calls_total{$f}[1h])) > 0)',
              "{{kind}}",
            ],
          ],
        },
        {
          kind: "areas",
          title: "Calls of agents by outcome",
          unit: "count",
          queries: [
            ['sum by (outcome) (increase(headroom_flow_calls_total{$f,kind="agent"}[1h]))', "{{outcome}} in 1 hour"],
          ],
        },
        {
          title: "What agents cost",
          unit: "count",
          queries: [["sum(increase(headroom_agent_cost_usd_total{$f}[1h]))", "US dollars in 1 hour"]],
        },
        {
          title: "Tokens and turns of agents",
          unit: "count",
          queries: [
            ["sum(increase(headroom_agent_tokens_total{$f}[1h]))", "tokens in 1 hour"],
            ["sum(increase(headroom_agent_turns_total{$f}[1h]))", "turns in 1 hour"],
          ],
        },
        {
          kind: "areas",
          title: "Steps of flows that wait or run",
          unit: "count",
          queries: [['sum by (state) (headroom:queue_jobs{$f,job_name="fork"})', "{{state}}"]],
        },
        {
          title: "Wait of a step for its claim, p95",
          unit: "seconds",
          queries: [
            [
              'histogram_quantile(0.95, sum by (le) (rate(headroom_job_wait_seconds_bucket{$f,job_name="fork"}[$__rate_interval])))',
              "steps",
            ],
          ],
        },
      ],
    },
  ],
};
