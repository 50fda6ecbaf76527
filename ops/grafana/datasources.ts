import { readFile } from "node:fs/promises";
import { stringify } from "yaml";

const SHIPPED = "ops/grafana/provisioning/datasources/fettle.yml";
/** The services of docker-compose.yml, and those of the charts in ops/helm. */
const ADDRESSES: Readonly<Record<string, string>> = {
  "http://prometheus:9090": "http://prometheus-operated.monitoring.svc:9090",
  "http://loki:3100": "http://loki.monitoring.svc:3100",
  "http://tempo:3200": "http://tempo.monitoring.svc:3200",
};

/** The data sources as a ConfigMap for the sidecar of Grafana's chart, whose own default one is switched off. */
export async function renderDatasources(): Promise<string> {
  const shipped = await readFile(SHIPPED, "utf8");
  const content = Object.entries(ADDRESSES).reduce(
    (text, [from, to]) => text.replaceAll(from, to),
    shipped,
  );
  const map = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "fettle-datasources", labels: { grafana_datasource: "1" } },
    data: { "fettle.yml": content },
  };
  return `# Written by \`make generate\` from ${SHIPPED}.\n${stringify(map, { lineWidth: 0 })}`;
}
