import { dial, graph, stat, table, type Board } from "../panels.ts";

export const costs: Board = {
  name: "costs",
  title: "Fettle - Costs",
  rows: {
    "A month": [
      stat("Cluster", "sum(kubecost_cluster_cost)", { unit: "currencyUSD", bad: 1000 }),
      stat("Namespaces", "sum(kubecost_namespace_cost)", { unit: "currencyUSD" }),
      graph("Cluster", [["sum(kubecost_cluster_cost)", "a month"]], { unit: "currencyUSD" }),
    ],
    "Where it goes": [
      graph(
        "By namespace",
        [["topk(10, sum by (namespace) (kubecost_namespace_cost))", "{{namespace}}"]],
        {
          unit: "currencyUSD",
          span: 24,
        },
      ),
      table(
        "Dearest deployments (CPU)",
        `topk(20, sum by (namespace, deployment) (
           label_replace(container_cpu_allocation, "deployment", "$1", "pod", "(.+)-[a-z0-9]+-[a-z0-9]{5}")
             * on (node) group_left () max by (node) (node_cpu_hourly_cost)) * 730)`,
        { unit: "currencyUSD" },
      ),
    ],
  },
};

export const budgets: Board = {
  name: "budgets",
  title: "Fettle - Budgets",
  rows: {
    "Cost and budget": [
      graph(
        "By namespace",
        [
          [
            "sum by (namespace) (kubecost_namespace_cost) and on (namespace) kubecost_namespace_budget",
            "{{namespace}} costs",
          ],
          ["max by (namespace) (kubecost_namespace_budget)", "{{namespace}} may cost"],
        ],
        { unit: "currencyUSD", span: 24 },
      ),
      table(
        "Over budget by",
        "sum by (namespace) (kubecost_namespace_cost) - on (namespace) max by (namespace) (kubecost_namespace_budget) > 0",
        { unit: "currencyUSD" },
      ),
      table(
        "Part of the budget that is spent",
        "sum by (namespace) (kubecost_namespace_cost) / on (namespace) max by (namespace) (kubecost_namespace_budget)",
        { unit: "percentunit" },
      ),
    ],
  },
};

export const businessKpis: Board = {
  name: "business-kpis",
  title: "Fettle - Business KPIs",
  rows: {
    Today: [
      stat("Active users", "sum(therapy_active_users)"),
      stat("Revenue", "sum(therapy_revenue_total)", { unit: "currencyEUR" }),
      dial("Therapies that succeed", "min(therapy:success_rate)", {
        unit: "percentunit",
        min: 0,
        max: 1,
        warn: 0.95,
        bad: 0.9,
      }),
      stat("Sessions an hour", "sum(rate(therapy_sessions_total[30m])) * 3600"),
    ],
    "Over time": [
      graph("Sessions", [
        ["sum(increase(therapy_sessions_total[5m]))", "begun"],
        ["sum(increase(therapy_sessions_success_total[5m]))", "succeeded"],
      ]),
      graph("Success rate", [["therapy:success_rate", "{{app}}"]], { unit: "percentunit", max: 1 }),
    ],
  },
};
