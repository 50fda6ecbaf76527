import { parse } from "yaml";
import { z } from "zod";
import { failed, ok, warning, type DoctorCheck, type DoctorPorts, type Look } from "./types.ts";

const webhookSchema = z.looseObject({
  url: z.string().optional(),
  send_resolved: z.boolean().optional(),
  max_alerts: z.number().optional(),
});

interface Route {
  readonly receiver?: string | undefined;
  readonly routes?: readonly Route[] | undefined;
}

const routeSchema: z.ZodType<Route> = z.lazy(() =>
  z.looseObject({ receiver: z.string().optional(), routes: z.array(routeSchema).optional() }),
);

const configSchema = z.looseObject({
  route: routeSchema,
  receivers: z.array(
    z.looseObject({ name: z.string(), webhook_configs: z.array(webhookSchema).optional() }),
  ),
});

/** Whether its configuration sends alerts to us, and in the way that we need. */
export function checkAlertmanager(
  receiver: string,
  { alertmanagerConfig }: Pick<DoctorPorts, "alertmanagerConfig">,
): DoctorCheck {
  return {
    area: "alertmanager",
    what: "configuration",
    look: async () => {
      const config = configSchema.parse(parse(await alertmanagerConfig(), { maxAliasCount: 100 }));
      const own = config.receivers.find(({ name }) => name === receiver);
      if (own === undefined)
        return [
          failed(
            "receiver",
            `it has none that is called ${receiver} (RUNBOOK_ALERTMANAGER_RECEIVER)`,
          ),
        ];
      const [webhook] = own.webhook_configs ?? [];
      if (webhook === undefined) return [failed("receiver", `${receiver} has no webhook_configs`)];
      return [
        ok("receiver", `${receiver} has a webhook`),
        isReached(config.route, receiver)
          ? ok("route", `leads to ${receiver}`)
          : failed("route", `no route leads to ${receiver}`),
        ...webhookLooks(webhook),
      ];
    },
  };
}

function isReached({ receiver: own, routes = [] }: Route, receiver: string): boolean {
  return own === receiver || routes.some((route) => isReached(route, receiver));
}

function webhookLooks({
  url = "",
  send_resolved,
  max_alerts,
}: z.output<typeof webhookSchema>): Look[] {
  // Newer versions print an address as <secret>.
  const known = /^https?:\/\//.test(url);
  const path = known ? new URL(url).pathname : "";
  return [
    ...(known && !/\/(alertmanager|alerts)\/?$/.test(path)
      ? [failed("address", `its path is ${path}; ours is /alertmanager`)]
      : []),
    ...(send_resolved === false
      ? [failed("send_resolved", "is false: no run would ever hear that its alert is over")]
      : []),
    ...(max_alerts !== undefined && max_alerts > 0
      ? [warning("max_alerts", `is ${max_alerts}: a group that is cut is never remediated`)]
      : []),
  ];
}
