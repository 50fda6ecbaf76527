import { readdir, readFile } from "node:fs/promises";
import { z } from "zod";
import { parseJson } from "../../lib/parse-json.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Cached } from "../monitoring/cache.ts";
import type { Dashboard, DashboardList } from "../monitoring/types.ts";
import type { Ask } from "./upstream.ts";

const SHIPPED = new URL("../../ops/grafana/dashboards/", import.meta.url);

const dashboardSchema = z.object({
  uid: z.string(),
  title: z.string(),
  tags: z.array(z.string()).default([]),
});

/** The dashboards that Grafana has. */
export function grafanaDashboards(ask: Ask, cached: Cached): DashboardList {
  return {
    list: async () => {
      const answer = await cached("dashboards", async () =>
        ask("/api/search?type=dash-db&limit=1000", undefined),
      );
      const parsed = z.array(dashboardSchema).safeParse(answer);
      if (parsed.success) return parsed.data.map(shown).sort(byTitle);
      const detail = "Grafana answered something else than its API says.";
      throw new HttpProblem(502, "Bad gateway", detail);
    },
  };
}

/** Without a Grafana: the dashboards that we ship for one. */
export function shippedDashboards(folder: URL = SHIPPED): DashboardList {
  return {
    list: async () => {
      const names = await readdir(folder).catch(() => []);
      const files = names.filter((name) => name.endsWith(".json"));
      const read = files.map(async (name) =>
        dashboardSchema.safeParse(parseJson(await readFile(new URL(name, folder), "utf8"))),
      );
      return (await Promise.all(read))
        .flatMap((parsed) => (parsed.success ? [shown(parsed.data)] : []))
        .sort(byTitle);
    },
  };
}

function shown({ uid, title, tags }: z.output<typeof dashboardSchema>): Dashboard {
  return { uid, title, tags, url: `/grafana/d/${encodeURIComponent(uid)}` };
}

function byTitle(a: Dashboard, b: Dashboard): number {
  return a.title.localeCompare(b.title);
}
