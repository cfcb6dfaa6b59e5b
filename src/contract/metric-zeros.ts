/**
 * The series of counters that are there with 0 before anything has happened, in one table: `rate` and `increase` see nothing
 * of a series that begins with its first event. Those of labels that only the work itself tells (profile, model, route) are
 * made where these become known.
 */
import { deferCodes } from "./defer-codes.ts";
import type { LabelOf, MetricNameOf } from "./metric-names.ts";
import { failureClasses, outcomes, terminalStates } from "./outcomes.ts";
import { writeFaults } from "./store-faults.ts";

/** The processes that serve metrics. */
export type ProcessKind = "producer" | "worker" | "scheduler" | "board";

type CounterName = MetricNameOf<"counter">;
type Series<N extends CounterName> = Readonly<Record<LabelOf<N>, string>>;

interface Zero<N extends CounterName> {
  /** Which processes count it. */
  readonly by: readonly ProcessKind[];
  readonly series: readonly Series<N>[];
}

/** Every combination of these values. */
function every<L extends string>(
  values: Readonly<Record<L, readonly string[]>>,
): readonly Readonly<Record<L, string>>[] {
  return Object.entries<readonly string[]>(values).reduce<readonly Record<string, string>[]>(
    (series, [label, those]) => series.flatMap((one) => those.map((value) => ({ ...one, [label]: value }))),
    [{}],
  ) as readonly Readonly<Record<L, string>>[];
}

const memory = ["memory-limit", "memory-pressure", "memory-threshold", "memory-short"];
const steps = {
  slow: ["cpu-pressure", "cpu-threshold", "heat", "power"],
  restore: ["calm"],
  suspend: memory,
  resume: ["gone", "drain", "alone", "time-limit", "room"],
  end: [...memory, "time-limit"],
};

const repairs = [
  "requeue",
  "settle",
  "restore",
  "release",
  "sweep",
  "cancel",
  "deadline",
  "leftover-job",
  "leftover-hash",
];

export const metricZeros = {
  headroom_results_total: {
    by: ["worker"],
    series: [
      ...every({ outcome: outcomes.filter((outcome) => outcome !== "failed"), failure_class: [""] }),
      ...every({ outcome: ["failed", "quarantined"], failure_class: failureClasses }),
      { outcome: "cancelled", failure_class: "cancelled" },
    ],
  },
  headroom_flow_calls_total: {
    by: ["worker"],
    series: every({ kind: ["exec", "infer", "agent"], outcome: outcomes }),
  },
  headroom_admissions_total: {
    by: ["worker"],
    series: [
      { decision: "admit", reason: "" },
      ...every({ decision: ["defer"], reason: [...deferCodes, "DISK_FULL", "TURN"] }),
      { decision: "reject", reason: "UNSCHEDULABLE" },
    ],
  },
  headroom_room_leases_total: { by: ["worker"], series: every({ event: ["taken", "released", "passed-on"] }) },
  headroom_retries_total: { by: ["worker"], series: every({ failure_class: failureClasses }) },
  headroom_enforcement_steps_total: {
    by: ["worker"],
    series: Object.entries(steps).flatMap(([step, reason]) => every({ step: [step], reason })),
  },
  headroom_runs_total: { by: ["worker"], series: every({ state: terminalStates }) },
  headroom_repairs_total: { by: ["scheduler"], series: every({ repair: repairs }) },
  headroom_schedule_starts_total: {
    by: ["scheduler"],
    series: every({ result: ["started", "skipped", "refused"] }),
  },
  headroom_intake_refused_total: {
    by: ["producer"],
    series: every({ reason: ["backlog", "redis-memory", "policy"] }),
  },
  headroom_store_write_failures_total: {
    by: ["worker", "scheduler", "producer", "board"],
    series: every({ reason: writeFaults }),
  },
} satisfies { readonly [N in CounterName]?: Zero<N> };
