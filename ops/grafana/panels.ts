import type { Builder, Dataquery } from "@grafana/grafana-foundation-sdk/cog";
import {
  ReduceDataOptionsBuilder,
  VisibilityMode,
  type DataSourceRef,
} from "@grafana/grafana-foundation-sdk/common";
import {
  DashboardBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type Panel,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { PanelBuilder as GaugeBuilder } from "@grafana/grafana-foundation-sdk/gauge";
import { PanelBuilder as LogsBuilder } from "@grafana/grafana-foundation-sdk/logs";
import { DataqueryBuilder as LokiQuery } from "@grafana/grafana-foundation-sdk/loki";
import {
  DataqueryBuilder as PromQuery,
  PromQueryFormat,
} from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TableBuilder } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as GraphBuilder } from "@grafana/grafana-foundation-sdk/timeseries";

/** The data sources of ops/grafana/provisioning/datasources, by their fixed ids. */
const PROMETHEUS: DataSourceRef = { type: "prometheus", uid: "prometheus" };
const LOKI: DataSourceRef = { type: "loki", uid: "loki" };
const POSTGRES: DataSourceRef = { type: "grafana-postgresql-datasource", uid: "aiopsdb" };

const HEIGHT = 8;
/** Of 24 columns. */
const WIDTH = { stat: 6, gauge: 6, graph: 12, table: 24, logs: 24 } as const;

export type PanelMaker = () => Builder<Panel>;
/** A query, and how each of its series is called. */
type Line = readonly [expr: string, legend: string];

interface Look {
  readonly unit?: string;
  readonly min?: number;
  readonly max?: number;
  /** From which value on it is yellow, and red; descending when less is worse. */
  readonly warn?: number;
  readonly bad?: number;
  readonly span?: number;
}

/** One number, the newest. */
export function stat(title: string, expr: string, look: Look = {}): PanelMaker {
  return () =>
    styled(new StatBuilder().title(title).datasource(PROMETHEUS), look, WIDTH.stat)
      .thresholds(thresholds(look))
      .reduceOptions(newest())
      .withTarget(query(expr, "__auto", "A").instant());
}

/** One number between two ends. */
export function dial(title: string, expr: string, look: Look = {}): PanelMaker {
  return () =>
    styled(new GaugeBuilder().title(title).datasource(PROMETHEUS), look, WIDTH.gauge)
      .thresholds(thresholds(look))
      .reduceOptions(newest())
      .withTarget(query(expr, "__auto", "A").instant());
}

/** Lines over time. */
export function graph(title: string, lines: readonly Line[], look: Look = {}): PanelMaker {
  return () => {
    const panel = styled(new GraphBuilder().title(title).datasource(PROMETHEUS), look, WIDTH.graph)
      .showPoints(VisibilityMode.Never)
      .fillOpacity(8);
    for (const [index, [expr, legend]] of lines.entries())
      panel.withTarget(query(expr, legend, refId(index)));
    return panel;
  };
}

/** The series as they are now, a row for each. */
export function table(title: string, expr: string, look: Look = {}): PanelMaker {
  return () =>
    styled(new TableBuilder().title(title).datasource(PROMETHEUS), look, WIDTH.table).withTarget(
      query(expr, "__auto", "A").instant().format(PromQueryFormat.Table),
    );
}

/** What the database answers, as it stands. */
export function sqlTable(title: string, sql: string, look: Look = {}): PanelMaker {
  return () =>
    styled(new TableBuilder().title(title).datasource(POSTGRES), look, WIDTH.table).withTarget(
      sqlQuery(sql, "table"),
    );
}

/** Lines over time from the database: a column `time`, the others are values. */
export function sqlGraph(title: string, sql: string, look: Look = {}): PanelMaker {
  return () =>
    styled(new GraphBuilder().title(title).datasource(POSTGRES), look, WIDTH.graph).withTarget(
      sqlQuery(sql, "time_series"),
    );
}

export function logs(title: string, expr: string): PanelMaker {
  return () =>
    styled(new LogsBuilder().title(title).datasource(LOKI), {}, WIDTH.logs)
      .showTime(true)
      .withTarget(new LokiQuery().expr(expr).refId("A").datasource(LOKI));
}

export interface Board {
  /** Name of the file, and the dashboard's id. */
  readonly name: string;
  readonly title: string;
  /** Rows by their headings. */
  readonly rows: Readonly<Record<string, readonly PanelMaker[]>>;
}

/** A dashboard as Grafana's JSON, the last six hours of it. */
export function renderBoard({ name, title, rows }: Board): string {
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- file provisioning takes this schema from Grafana 10 on
  const dashboard = new DashboardBuilder(title)
    .uid(`fettle-${name}`)
    .tags(["fettle"])
    .readonly()
    .refresh("30s")
    .time({ from: "now-6h", to: "now" })
    .timezone("browser");
  for (const [heading, panels] of Object.entries(rows)) {
    dashboard.withRow(new RowBuilder(heading));
    for (const panel of panels) dashboard.withPanel(panel());
  }
  const built = dashboard.build();
  // Grafana tells panels apart by their ids, and the library gives none.
  for (const [index, panel] of (built.panels ?? []).entries()) panel.id = index + 1;
  return JSON.stringify(built);
}

function newest(): ReduceDataOptionsBuilder {
  return new ReduceDataOptionsBuilder().calcs(["lastNotNull"]);
}

interface Styled<T> {
  unit(unit: string): T;
  min(min: number): T;
  max(max: number): T;
  height(rows: number): T;
  span(columns: number): T;
}

function styled<T extends Styled<T>>(panel: T, { unit, min, max, span }: Look, width: number): T {
  panel.height(HEIGHT).span(span ?? width);
  if (unit !== undefined) panel.unit(unit);
  if (min !== undefined) panel.min(min);
  if (max !== undefined) panel.max(max);
  return panel;
}

function thresholds({ warn, bad }: Look): ThresholdsConfigBuilder {
  const isDescending = warn !== undefined && bad !== undefined && bad < warn;
  const steps = isDescending
    ? [step(null, "red"), step(bad, "orange"), step(warn, "green")]
    : [
        step(null, "green"),
        ...(warn === undefined ? [] : [step(warn, "orange")]),
        ...(bad === undefined ? [] : [step(bad, "red")]),
      ];
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps);
}

function step(value: number | null, color: string) {
  return { value, color };
}

function query(expr: string, legend: string, id: string): PromQuery {
  return new PromQuery().expr(expr).legendFormat(legend).refId(id).datasource(PROMETHEUS);
}

function refId(index: number): string {
  return String.fromCharCode("A".charCodeAt(0) + index);
}

/** The library has no builder for SQL; this is the query of Grafana's own Postgres plugin. */
function sqlQuery(rawSql: string, format: "table" | "time_series"): Builder<Dataquery> {
  const sql = rawSql.trim().replaceAll(/\n\s+/g, "\n  ");
  return {
    build: () => ({
      refId: "A",
      datasource: POSTGRES,
      rawSql: sql,
      rawQuery: true,
      editorMode: "code",
      format,
      _implementsDataqueryVariant: () => undefined,
    }),
  };
}
