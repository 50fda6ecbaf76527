import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parser } from "@grafana/lezer-logql";
import { parse } from "yaml";

const DASHBOARDS = "ops/grafana/dashboards";
const RULES = "ops/loki/rules/fake/alerts.yml";
const DATASOURCES = "ops/grafana/provisioning/datasources/fettle.yml";

interface Query {
  readonly where: string;
  readonly text: string;
}

interface Target {
  readonly datasource?: { readonly type?: string };
  readonly expr?: string;
}

interface Panel {
  readonly title: string;
  readonly datasource?: { readonly type?: string };
  readonly targets?: readonly Target[];
}

/** Every query for Loki, by the grammar that Grafana's own editor reads it with. */
export async function checkLogql(): Promise<readonly string[]> {
  const queries = [...(await ofDashboards()), ...(await ofRules()), ...(await ofDatasources())];
  if (queries.length === 0) return ["no query for Loki was found"];
  return queries.flatMap(({ where, text }) => {
    const at = errorIn(text);
    return at === undefined ? [] : [`${where}: no LogQL from character ${at} on: ${text.trim()}`];
  });
}

/** Where the grammar gives up; undefined: nowhere. */
function errorIn(text: string): number | undefined {
  let at: number | undefined;
  parser.parse(text).iterate({
    enter: ({ type, from }) => {
      if (type.isError) at ??= from;
    },
  });
  return at;
}

async function ofDashboards(): Promise<readonly Query[]> {
  const names = await readdir(DASHBOARDS);
  const boards = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(DASHBOARDS, name), "utf8");
      const { panels } = JSON.parse(text) as { panels: readonly Panel[] };
      return panels.flatMap(({ title, datasource, targets = [] }) =>
        targets
          .filter((target) => (target.datasource ?? datasource)?.type === "loki")
          .map(({ expr = "" }) => ({ where: `${DASHBOARDS}/${name}: ${title}`, text: expr })),
      );
    }),
  );
  return boards.flat();
}

async function ofRules(): Promise<readonly Query[]> {
  const { groups } = parse(await readFile(RULES, "utf8")) as {
    groups: readonly { rules: readonly { alert: string; expr: string }[] }[];
  };
  return groups
    .flatMap(({ rules }) => rules)
    .map(({ alert, expr }) => ({ where: `${RULES}: ${alert}`, text: expr }));
}

/** Grafana fills its own variables in before it asks. */
async function ofDatasources(): Promise<readonly Query[]> {
  const { datasources } = parse(await readFile(DATASOURCES, "utf8")) as {
    datasources: readonly { jsonData?: { tracesToLogsV2?: { query?: string } } }[];
  };
  return datasources.flatMap(({ jsonData }) => {
    const query = jsonData?.tracesToLogsV2?.query;
    if (query === undefined) return [];
    const text = query.replace("$${__tags}", 'service="x"').replace("$${__trace.traceId}", "0");
    return [{ where: `${DATASOURCES}: from a trace to its logs`, text }];
  });
}
