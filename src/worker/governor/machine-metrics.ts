/** The figures of all probes in the metrics of a worker. What is not known now is not told: no gauge keeps an old value. */
import type { Gauge } from "prom-client";
import { metricTable, type LabelOf, type MetricNameOf } from "../../contract/metric-names.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { CapacityReading, CapacitySensor } from "./capacity.ts";
import type { MachineReading } from "./machine.ts";
import type { ProbeStatus } from "./probes/probe-runner.ts";

type GaugeName = MetricNameOf<"gauge">;
type Labels<N extends GaugeName> = Readonly<Partial<Record<LabelOf<N>, string>>>;
interface Sample<N extends GaugeName> {
  readonly labels: Labels<N>;
  readonly value: number | null | undefined;
}

/** Sets the gauges from the last reading at each exposition. */
export function exposeMachine(metrics: Metrics, sensor: Pick<CapacitySensor, "latest" | "statuses">): void {
  const tell = <N extends GaugeName>(name: N, samples: readonly Sample<N>[]): void => {
    // Which labels belong to which name is checked where the samples are made.
    const gauge = metrics.gauge(name) as Gauge;
    gauge.reset();
    // A gauge without labels is 0 after its reset, which nobody measured; of one with labels nothing is left to take away.
    if (metricTable[name].labels.length === 0) gauge.remove();
    for (const { labels, value } of samples) {
      if (value !== undefined && value !== null) gauge.set(labels, value);
    }
  };
  let mostGpus = 0;
  metrics.onCollect(() => {
    const reading = sensor.latest;
    if (reading === undefined) return;
    tellLoad(tell, reading);
    tellDisks(tell, reading.machine);
    tellLimits(tell, reading.machine);
    tellHeat(tell, reading.machine);
    tellGpus(tell, reading.machine);
    const gpus = reading.machine.gpus.length;
    mostGpus = Math.max(mostGpus, gpus);
    tell("headroom_gpus_lost", [{ labels: {}, value: mostGpus === 0 ? undefined : mostGpus - gpus }]);
    tellProbes(tell, sensor.statuses(), reading.machine);
  });
}

type Tell = <N extends GaugeName>(name: N, samples: readonly Sample<N>[]) => void;

function tellLoad(tell: Tell, { cpu, pressure, machine }: CapacityReading): void {
  tell("headroom_cpu_throttled_ratio", [{ labels: {}, value: cpu?.throttled }]);
  tell("headroom_load_average", [{ labels: {}, value: machine.load?.average }]);
  tell("headroom_pressure_ratio", [
    { labels: { resource: "memory", kind: "some" }, value: pressure?.memorySome },
    { labels: { resource: "memory", kind: "full" }, value: pressure?.memoryFull },
    { labels: { resource: "cpu", kind: "some" }, value: pressure?.cpuSome },
    { labels: { resource: "io", kind: "some" }, value: pressure?.ioSome },
    { labels: { resource: "io", kind: "full" }, value: pressure?.ioFull },
  ]);
  tell("headroom_network_bytes_per_second", [
    { labels: { direction: "received" }, value: machine.network?.receivedBytes },
    { labels: { direction: "sent" }, value: machine.network?.sentBytes },
  ]);
}

function tellDisks(tell: Tell, { disks, volumes }: MachineReading): void {
  tell(
    "headroom_disk_bytes_per_second",
    disks.flatMap(({ scope, readBytes, writtenBytes }) => [
      { labels: { scope, direction: "read" }, value: readBytes },
      { labels: { scope, direction: "written" }, value: writtenBytes },
    ]),
  );
  tell(
    "headroom_disk_operations_per_second",
    disks.map(({ scope, operations }) => ({ labels: { scope }, value: operations })),
  );
  tell("headroom_disk_busy_ratio", [{ labels: {}, value: disks.find(({ scope }) => scope === "host")?.busy }]);
  const uses = ["scratch", "output"] as const;
  const fullest = uses.map((use) => ({
    labels: { use },
    volume: volumes.filter((one) => one.use === use).toSorted((a, b) => a.freeBytes - b.freeBytes)[0],
  }));
  tell(
    "headroom_volume_free_bytes",
    fullest.map(({ labels, volume }) => ({ labels, value: volume?.freeBytes })),
  );
  tell(
    "headroom_volume_bytes",
    fullest.map(({ labels, volume }) => ({ labels, value: volume?.totalBytes })),
  );
  tell(
    "headroom_volume_free_inodes",
    uses.map((use) => ({
      labels: { use },
      value: volumes
        .flatMap((volume) => (volume.use === use ? (volume.freeInodes ?? []) : []))
        .toSorted((a, b) => a - b)[0],
    })),
  );
}

function tellLimits(tell: Tell, { processes, files }: MachineReading): void {
  const levels = [
    ...processes.map((level) => ({ of: "processes", ...level })),
    ...files.map((level) => ({ of: "files", ...level })),
  ];
  tell(
    "headroom_limit",
    levels.map(({ of, name, limit }) => ({ labels: { of, level: name }, value: limit })),
  );
  tell(
    "headroom_limit_used",
    levels.map(({ of, name, used }) => ({ labels: { of, level: name }, value: used })),
  );
}

function tellHeat(tell: Tell, { heat, watts }: MachineReading): void {
  const sensors = heat?.sensors ?? [];
  tell(
    "headroom_temperature_celsius",
    sensors.map(({ name, celsius }) => ({ labels: { sensor: name }, value: celsius })),
  );
  tell("headroom_heat_throttles_per_second", [{ labels: {}, value: heat?.throttlesPerSecond }]);
  tell("headroom_power_watts", [{ labels: {}, value: watts }]);
}

function tellGpus(tell: Tell, { gpus }: MachineReading): void {
  const each = (value: (gpu: MachineReading["gpus"][number]) => number | null) =>
    gpus.map((gpu) => ({ labels: { gpu: String(gpu.index) }, value: value(gpu) }));
  tell(
    "headroom_gpu_memory_bytes",
    each((gpu) => gpu.memoryBytes),
  );
  tell(
    "headroom_gpu_used_bytes",
    each((gpu) => gpu.usedBytes),
  );
  tell(
    "headroom_gpu_utilisation_ratio",
    each((gpu) => gpu.utilisation),
  );
  tell(
    "headroom_gpu_temperature_celsius",
    each((gpu) => gpu.temperatureC),
  );
  tell(
    "headroom_gpu_power_watts",
    each((gpu) => gpu.powerW),
  );
  tell(
    "headroom_gpu_processes",
    each((gpu) => gpu.processes.length),
  );
}

function tellProbes(tell: Tell, statuses: readonly ProbeStatus[], { plugins }: MachineReading): void {
  const here = statuses.filter(({ state }) => state === "reading" || state === "degraded");
  // Output folders come and go with runs: their names are no labels.
  const labelOf = (name: string) => ({ probe: name.startsWith("volume ") ? "volume" : name });
  const up = new Map<string, number>();
  const cost = new Map<string, number>();
  for (const { name, state, costMs } of here) {
    const { probe } = labelOf(name);
    up.set(probe, Math.min(up.get(probe) ?? 1, state === "reading" ? 1 : 0));
    if (costMs !== undefined) cost.set(probe, Math.max(cost.get(probe) ?? 0, costMs / 1_000));
  }
  tell(
    "headroom_probe_up",
    [...up].map(([probe, value]) => ({ labels: { probe }, value })),
  );
  tell(
    "headroom_probe_duration_seconds",
    [...cost].map(([probe, value]) => ({ labels: { probe }, value })),
  );
  tell(
    "headroom_plugin_figure",
    Object.entries(plugins).flatMap(([plugin, figures]) =>
      Object.entries(figures ?? {}).map(([figure, value]) => ({ labels: { plugin, figure }, value })),
    ),
  );
}
