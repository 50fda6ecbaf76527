import { format } from "prettier";
import { channels, renderAlertmanager } from "./alertmanager/render.ts";
import { boards } from "./grafana/boards.ts";
import { renderDatasources } from "./grafana/datasources.ts";
import { renderBoard } from "./grafana/panels.ts";
import { rbacManifest } from "../runbooks/main.ts";
import { renderArchitecture } from "./import-graph.ts";
import { renderPrometheusRules } from "./kubernetes/rules.ts";

/** A file of this repository that a program writes: `make generate` writes it, `make check` compares it. */
export interface GeneratedFile {
  /** From the repository's root. */
  readonly path: string;
  readonly render: () => string | Promise<string>;
}

/** As a person would have formatted them. */
export async function renderFile({ path, render }: GeneratedFile): Promise<string> {
  const text = await render();
  if (path.endsWith(".md")) return text; // prose is formatted by hand
  return format(text, { filepath: path, printWidth: 100 });
}

export const generatedFiles: readonly GeneratedFile[] = [
  { path: "docs/architecture.md", render: renderArchitecture },
  { path: "ops/alertmanager/alertmanager.yml", render: () => renderAlertmanager([]) },
  { path: "ops/alertmanager/alertmanager-people.yml", render: () => renderAlertmanager(channels) },
  {
    path: "ops/alertmanager/alertmanager-kubernetes.yml",
    render: () => renderAlertmanager(channels, "kubernetes"),
  },
  { path: "ops/grafana/generated/datasources.yaml", render: renderDatasources },
  { path: "ops/kubernetes/generated/prometheus-rules.yaml", render: renderPrometheusRules },
  {
    path: "ops/kubernetes/overlays/production/rbac.yaml",
    render: () =>
      rbacManifest({ namespaces: ["shop"], serviceAccount: "runbooks/fettle-executor" }),
  },
  ...boards.map((board) => ({
    path: `ops/grafana/dashboards/${board.name}.json`,
    render: () => renderBoard(board),
  })),
];
