import { html, type Html } from "../../lib/pages/html.ts";
import type { Switches } from "../decide.ts";
import { waitingTable } from "./approvals.ts";
import type { Viewer } from "./access.ts";
import { csrfField } from "./breakers.ts";
import type { HealthFacts, OverviewFacts } from "./facts/overview-facts.ts";
import { badge, shown, sitePage, table, time, timeOr, words } from "./parts.ts";
import { runTable } from "./runs.ts";

/** What the service was started with. */
export type Settings = Pick<Switches, "enabled" | "dryRun" | "requireApproval"> & {
  readonly redis: boolean;
};

/** First what waits for a person, then what is switched off, then how it goes. */
export function overviewPage(facts: OverviewFacts, settings: Settings, viewer: Viewer): string {
  const { waiting, newest, health } = facts;
  const hidden = waiting.count - waiting.first.length;
  const more = html`<p><a href="/approvals">${String(hidden)} more wait</a></p>`;
  return sitePage(
    "Overview",
    html`${modeNote(settings)}
      <h2>Waiting for a person</h2>
      ${waitingTable(waiting.first)} ${hidden > 0 ? more : html``}
      <h2>Switched off</h2>
      ${stops(facts)}
      <h2>Last 24 hours</h2>
      ${day(facts)}
      <h2>Newest runs</h2>
      ${runTable(newest, "The newest runs", "No alert has asked for anything yet.")}
      <p><a href="/runs">All runs</a></p>
      <h2>Health</h2>
      ${healthOf(health, settings)} ${signOut(viewer)}`,
    { place: "/" },
  );
}

/** Only a session can be ended; whoever sends the token each time just stops doing so. */
function signOut(viewer: Viewer): Html {
  if (viewer.until === undefined) return html``;
  return html`<h2>Your session</h2>
    <p>It ends ${time(viewer.until)}.</p>
    <form method="post" action="/sign-out">
      ${csrfField(viewer)}
      <button type="submit">Sign out</button>
    </form>`;
}

function modeNote({ enabled, dryRun, requireApproval }: Settings): Html {
  if (!enabled)
    return html`<p class="notice">
      Remediation is off: alerts are kept, and nothing is decided to be done (<code
        >RUNBOOK_AUTOFIX_ENABLED</code
      >
      is false).
    </p>`;
  return html`<p>
    Remediation is on,
    ${requireApproval ? "and people are asked first" : "and the policy says who is asked"}.
    ${dryRun ? html`${badge("DRY-RUN")} Nothing is changed in the cluster.` : html``}
  </p>`;
}

function stops({ killSwitches, openBreakers }: OverviewFacts): Html {
  const hidden = openBreakers.count - openBreakers.first.length;
  return html`${table({
    caption: "Kill switches that are on",
    columns: ["Scope", "By", "Reason", "Since", "Until"],
    rows: killSwitches.map(({ scope, by, reason, at, until }) => [
      scope === "*" ? "everything" : shown(scope),
      shown(by),
      shown(reason),
      time(at),
      timeOr(until, "somebody takes it back"),
    ]),
    empty: "No kill switch is on.",
  })}
  ${table({
    caption: `Open breakers${hidden > 0 ? ` (${hidden} more)` : ""}`,
    columns: ["Breaker", "Why", "By", "Since"],
    rows: openBreakers.first.map(({ key, reason, openedBy, openedAt }) => [
      html`<a href="/breakers">${shown(key)}</a>`,
      shown(reason ?? ""),
      shown(openedBy ?? ""),
      timeOr(openedAt, ""),
    ]),
    empty: "No breaker is open.",
  })}`;
}

function day({ day: { alerts, runs, succeeded, failed, unknown, states } }: OverviewFacts): Html {
  const verified = succeeded + failed + unknown;
  const share = verified === 0 ? "–" : `${Math.round((succeeded / verified) * 100)} %`;
  const tile = (name: string, value: string) =>
    html`<div>
      <dt>${name}</dt>
      <dd>${value}</dd>
    </div>`;
  return html`<dl class="tiles">
      ${tile("Alerts", String(alerts))} ${tile("Runs", String(runs))}
      ${tile(`Helped, of ${verified} done`, share)}
      ${tile("Did not help, or nobody knows", String(failed + unknown))}
    </dl>
    ${table({
      caption: "Runs by what became of them",
      columns: ["State", { name: "Runs", number: true }],
      rows: states.map((one) => [
        html`<a href="/runs?state=${encodeURIComponent(one.state)}">${words(one.state)}</a>`,
        String(one.runs),
      ]),
      empty: "There was none.",
    })}`;
}

const SECONDS_LATE = 120;

function healthOf({ inbox, channels, policy, instances }: HealthFacts, { redis }: Settings): Html {
  const row = (name: string, ok: boolean, detail: string | Html) => [
    shown(name),
    ok ? "well" : badge("look"),
    detail,
  ];
  const executors = instances.filter(
    ({ role, silentSeconds }) => role !== "receiver" && silentSeconds < SECONDS_LATE,
  );
  return html`${table({
    caption: "Parts and how they are",
    columns: ["Part", "State", "Detail"],
    rows: [
      row("database", true, "it has answered just now"),
      row(
        "inbox",
        inbox.oldestSeconds < SECONDS_LATE,
        `${inbox.waiting} deliveries wait, the oldest for ${seconds(inbox.oldestSeconds)}`,
      ),
      row("executor", executors.length > 0, `${executors.length} heard of in the last two minutes`),
      row(
        "policy",
        policy?.problem === null && policy.sha256 !== null,
        policy === undefined
          ? "no executor has read it yet"
          : html`read
            ${timeOr(policy.readAt, "never")}${policy.problem === null ? "" : `; ${shown(policy.problem, 400)}`}`,
      ),
      ...channels.map(({ channel, waiting, oldestSeconds, failingSince }) =>
        row(
          `channel ${words(channel)}`,
          failingSince === null && oldestSeconds < SECONDS_LATE,
          html`${String(waiting)} letters wait, the oldest for
          ${seconds(oldestSeconds)}${failingSince === null ? "" : html`; it fails since ${time(failingSince)}`}`,
        ),
      ),
      [
        "Redis",
        redis ? "not looked at from here" : "not configured",
        redis
          ? "when it cannot be reached the breakers say no"
          : "the breakers count in the database alone",
      ],
    ],
    empty: "",
  })}
  ${table({
    caption: "Processes heard of in the last hour",
    columns: ["Host", "Role", "Version", "Since", "Silent for", "Clock"],
    rows: instances.map((one) => [
      shown(one.host),
      one.role,
      shown(one.version),
      time(one.startedAt),
      seconds(one.silentSeconds),
      `${(one.skewMs / 1000).toFixed(1)} s`,
    ]),
    empty: "No process has signed on.",
  })}`;
}

function seconds(value: number): string {
  return value < 90 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`;
}
