import { stringify } from "yaml";

/** Whom Alertmanager tells besides Fettle. */
export type Channel = "slack" | "discord" | "pagerduty" | "email";

export const channels: readonly Channel[] = ["slack", "discord", "pagerduty", "email"];

/** Whom it tells and where its secrets lie; it reads no environment, and each of these files again for each message. */
interface Place {
  readonly fettle: string;
  readonly secrets: string;
}

const PLACES = {
  containers: { fettle: "http://runbooks:8080", secrets: "/etc/alertmanager/secrets" },
  // The operator mounts the Secret `alertmanager-channels` in a folder of its own.
  kubernetes: {
    fettle: "http://runbooks-webhook.runbooks.svc:8080",
    secrets: "/etc/alertmanager/secrets/alertmanager-channels",
  },
} satisfies Record<string, Place>;

const NOTE = `# Written by \`make generate\` from ops/alertmanager/render.ts; docs/operations.md says why it is as it is.
# \`timeout\` needs Alertmanager 0.28 or later.
`;

/** Alertmanager's configuration: everything to Fettle, and by severity to these channels. */
export function renderAlertmanager(
  told: readonly Channel[],
  where: keyof typeof PLACES = "containers",
): string {
  const place = PLACES[where];
  const receivers = receiversAt(place);
  const config = {
    route: {
      receiver: "fettle",
      group_by: ["cluster", "namespace", "alertname"],
      group_wait: "30s",
      group_interval: "1m",
      repeat_interval: "4h",
      routes: [
        {
          receiver: "deadmansswitch",
          matchers: ['alertname = "Watchdog"'],
          group_wait: "0s",
          repeat_interval: "1m",
        },
        ...(told.length === 0 ? [] : [{ receiver: "fettle", continue: true }]),
        ...told.map(routeOf),
      ],
    },
    inhibit_rules: [
      // One message about one outage: the fast burn says all that the simple one says.
      inhibit(
        "SLOErrorBudgetBurnFast",
        'alertname =~ "SLOErrorBudgetBurn|SLOErrorBudgetBurnSlow"',
        ["cluster", "namespace", "app"],
      ),
      inhibit(
        "RunbooksDatabaseUnwritable",
        'alertname =~ "RunbooksInbox.*|RunbooksAuditUnverified"',
        [],
      ),
    ],
    receivers: [
      { name: "fettle", webhook_configs: [fettleWebhook(place)] },
      { name: "deadmansswitch" }, // give it the webhook of a service that calls when Watchdog stays away
      ...told.map((channel) => ({ name: channel, ...receivers[channel] })),
    ],
  };
  return NOTE + stringify(config, { lineWidth: 120, aliasDuplicateObjects: false });
}

function fettleWebhook({ fettle, secrets }: Place): object {
  return {
    url: `${fettle}/alertmanager`,
    send_resolved: true,
    max_alerts: 0, // a cut group is never remediated
    // Without it one that hangs takes the whole flush; an answer takes Fettle 5 s at most.
    timeout: "10s",
    http_config: { authorization: { type: "Bearer", credentials_file: `${secrets}/fettle-token` } },
  };
}

const title = "{{ .Status | toUpper }} {{ .CommonLabels.alertname }} {{ .CommonLabels.namespace }}";
const text =
  "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n{{ .Annotations.runbook_url }}\n{{ end }}";

const receiversAt = ({ secrets }: Place): Readonly<Record<Channel, object>> => ({
  slack: {
    slack_configs: [
      {
        api_url_file: `${secrets}/slack-url`,
        channel: "#alerts",
        send_resolved: true,
        title,
        text,
      },
    ],
  },
  // Discord's webhooks understand Slack's form at <webhook>/slack, and that can be read from a file in every version.
  discord: {
    slack_configs: [{ api_url_file: `${secrets}/discord-url`, send_resolved: true, title, text }],
  },
  pagerduty: {
    pagerduty_configs: [
      {
        routing_key_file: `${secrets}/pagerduty-key`,
        send_resolved: true,
        severity: '{{ or .CommonLabels.severity "error" }}',
        description: "{{ .CommonLabels.alertname }}: {{ (index .Alerts 0).Annotations.summary }}",
      },
    ],
  },
  email: {
    email_configs: [
      {
        to: "sre@example.com",
        from: "fettle@example.com",
        smarthost: "smtp.example.com:587",
        auth_username: "fettle@example.com",
        auth_password_file: `${secrets}/smtp-password`,
        require_tls: true,
        send_resolved: true,
      },
    ],
  },
});

function routeOf(channel: Channel): object {
  const severities = channel === "pagerduty" ? "critical" : "critical|warning";
  return { receiver: channel, matchers: [`severity =~ "${severities}"`], continue: true };
}

function inhibit(source: string, target: string, equal: readonly string[]): object {
  return { source_matchers: [`alertname = "${source}"`], target_matchers: [target], equal };
}
