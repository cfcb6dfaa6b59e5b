/** A dashboard as a table of panels, and how it becomes what Grafana reads. */
/* eslint-disable @typescript-eslint/no-deprecated -- the classic format is what every Grafana from 9 on reads from files */
import {
  DashboardLinkType,
  VariableHide,
  VariableRefresh,
  VariableSort,
  type Dashboard,
  type Panel,
} from "@grafana/grafana-foundation-sdk/dashboard";
import {
  DashboardBuilder,
  DashboardLinkBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { LegendDisplayMode, LegendPlacement, StackingMode } from "@grafana/grafana-foundation-sdk/common";
import { StackingConfigBuilder, VizLegendOptionsBuilder } from "@grafana/grafana-foundation-sdk/common";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as LinesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";
import {
  BytesIEC,
  BytesPerSecondIEC,
  Celsius,
  PercentUnit,
  Seconds,
  Short,
  Watt,
  OpsPerSecond,
} from "@grafana/grafana-foundation-sdk/units";

const units = {
  bytes: BytesIEC,
  bytesPerSecond: BytesPerSecondIEC,
  celsius: Celsius,
  ratio: PercentUnit,
  seconds: Seconds,
  count: Short,
  watts: Watt,
  perSecond: OpsPerSecond,
} as const;

/** An expression, in which `$f` stands for the filter of the cluster and `$w` for that of its processes; and a legend. */
export type Query = readonly [expr: string, legend: string];

/** One panel: lines over time, areas on top of each other, or one figure. */
export interface PanelRow {
  readonly kind?: "lines" | "areas" | "figure";
  readonly title: string;
  readonly unit: keyof typeof units;
  readonly queries: readonly Query[];
  /** What a reader should know beside the title. */
  readonly note?: string;
  /** What must be there for it to show anything: "a replica". */
  readonly needs?: string;
}

export interface Page {
  /** What links and bookmarks are made of; it never changes. */
  readonly uid: string;
  readonly title: string;
  readonly rows: readonly { readonly title: string; readonly panels: readonly PanelRow[] }[];
}

const SOURCE = { type: "prometheus", uid: "${datasource}" };
const CLUSTER = 'namespace=~"$namespace"';
const PROCESS = `${CLUSTER},instance=~"$instance"`;
const WIDTH = 24;
const sizes = { lines: { w: 8, h: 8 }, areas: { w: 8, h: 8 }, figure: { w: 4, h: 4 } } as const;

/** The dashboard of a page. The same page gives the same text, ids included. */
export function buildDashboard({ uid, title, rows }: Page): Dashboard {
  const builder = new DashboardBuilder(`Headroom / ${title}`)
    .uid(uid)
    .tags(["headroom"])
    .timezone("browser")
    .time({ from: "now-1h", to: "now" })
    .refresh("30s")
    .readonly()
    .link(
      new DashboardLinkBuilder("Headroom")
        .type(DashboardLinkType.Dashboards)
        .tags(["headroom"])
        .asDropdown(true)
        .keepTime(true),
    )
    .withVariable(new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"))
    .withVariable(labelVariable("namespace", "headroom_build_info"))
    .withVariable(labelVariable("instance", `headroom_build_info{${CLUSTER}}`));
  const place = new Placing();
  for (const row of rows) {
    builder.withRow(new RowBuilder(row.title).id(place.nextId()).gridPos(place.line()));
    for (const panel of row.panels) builder.withPanel({ build: () => place.put(panel) });
  }
  return builder.build();
}

/** Ids and places, from the upper left on. */
class Placing {
  #id = 0;
  #x = 0;
  #y = 0;
  #height = 0;

  nextId(): number {
    this.#id += 1;
    return this.#id;
  }

  /** A line of its own. */
  line(): { x: number; y: number; w: number; h: number } {
    this.#y += this.#height;
    const at = { x: 0, y: this.#y, w: WIDTH, h: 1 };
    [this.#x, this.#y, this.#height] = [0, this.#y + 1, 0];
    return at;
  }

  put(row: PanelRow): Panel {
    const { w, h } = sizes[row.kind ?? "lines"];
    if (this.#x + w > WIDTH) [this.#x, this.#y, this.#height] = [0, this.#y + this.#height, 0];
    const gridPos = { x: this.#x, y: this.#y, w, h };
    this.#x += w;
    this.#height = Math.max(this.#height, h);
    return { ...panelOf(row), id: this.nextId(), gridPos };
  }
}

function panelOf(row: PanelRow): Panel {
  const { kind = "lines", title, unit, queries, note, needs } = row;
  const builder = kind === "figure" ? new StatBuilder() : linesOf(kind);
  builder.title(title).unit(units[unit]).datasource(SOURCE);
  const said = [note, needs && `Empty without ${needs}.`].filter((text) => text !== undefined).join(" ");
  if (said !== "") builder.description(said);
  for (const [at, [expr, legend]] of queries.entries()) {
    const query = new DataqueryBuilder()
      .refId(String.fromCharCode(65 + at))
      .expr(filtered(expr))
      .legendFormat(legend);
    // Dots that lead to the traces of samples, where traces are on: those of one histogram are the same for each quantile.
    const isFirst = queries.findIndex(([other]) => histogramOf(other) === histogramOf(expr)) === at;
    if (kind !== "figure" && histogramOf(expr) !== undefined && isFirst) query.exemplar(true);
    builder.withTarget(kind === "figure" ? query.instant() : query.range());
  }
  return builder.build();
}

function histogramOf(expr: string): string | undefined {
  return /\w+_bucket(?=\{)/.exec(expr)?.[0];
}

function linesOf(kind: "lines" | "areas"): LinesBuilder {
  const legend = new VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(LegendDisplayMode.List)
    .placement(LegendPlacement.Bottom);
  const builder = new LinesBuilder()
    .legend(legend)
    .min(0)
    .fillOpacity(kind === "areas" ? 40 : 8);
  return kind === "areas" ? builder.stacking(new StackingConfigBuilder().mode(StackingMode.Normal)) : builder;
}

function filtered(expr: string): string {
  return expr.replaceAll("$f", CLUSTER).replaceAll("$w", PROCESS);
}

function labelVariable(label: string, series: string): QueryVariableBuilder {
  return (
    new QueryVariableBuilder(label)
      .label(label)
      .datasource(SOURCE)
      .query(`label_values(${series}, ${label})`)
      .refresh(VariableRefresh.OnTimeRangeChanged)
      .sort(VariableSort.AlphabeticalAsc)
      .hide(VariableHide.DontHide)
      .multi(true)
      .includeAll(true)
      // On a machine without Kubernetes the label is not there, which this matches too.
      .allValue(".*")
  );
}
