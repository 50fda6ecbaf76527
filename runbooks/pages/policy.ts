import { html, type Html } from "../../lib/pages/html.ts";
import type { KillSwitch } from "../decide.ts";
import type { PolicyInForce } from "../policy/in-force.ts";
import type { Trial } from "../try-alert.ts";
import type { Explanation, PolicyRule } from "../types/policy.ts";
import type { Viewer } from "./access.ts";
import { csrfField } from "./breakers.ts";
import { facts, input, shown, sitePage, table, timeOr, words } from "./parts.ts";

interface PolicyQuestion {
  readonly namespace?: string | undefined;
  readonly app?: string | undefined;
  readonly trigger?: string | undefined;
  readonly reason?: string | undefined;
}

export interface PolicyPage {
  readonly inForce: PolicyInForce;
  readonly question: PolicyQuestion;
  /** The rules for the place that was asked about; every rule when none was. */
  readonly rules: readonly { readonly key: string; readonly rule: PolicyRule }[];
  /** Undefined when no trigger was asked about. */
  readonly explanation: Explanation | undefined;
  readonly killed: KillSwitch | null;
}

const RULES_SHOWN = 200;

export function policyPage(
  { inForce, question, rules, explanation, killed }: PolicyPage,
  viewer: Viewer,
): string {
  const { namespace, app } = question;
  const place = namespace === undefined ? "" : ` for ${shown(namespace)}/${shown(app ?? "")}`;
  const hidden = rules.length - RULES_SHOWN;
  return sitePage(
    "Policy",
    html`${versionOf(inForce)} ${killedNote(killed)} ${questionForm(question)}
      ${explanation === undefined ? html`` : explained(explanation, question)}
      ${table({
        caption: `Rules${place}${hidden > 0 ? ` (the first ${RULES_SHOWN}; ${hidden} more)` : ""}`,
        columns: ["Key", "Trigger", "Reason", "Action", "As it is written"],
        rows: rules
          .slice(0, RULES_SHOWN)
          .map(({ key, rule }) => [
            shown(key),
            shown(rule.trigger),
            rule.reason === undefined ? "any" : shown(rule.reason),
            words(rule.action),
            html`<code>${shown(rule.text, 400)}</code>`,
          ]),
        empty: `There is no rule${place}: nothing is done.`,
      })}
      <h2>Try an alert</h2>
      ${tryForm("", viewer)}`,
    { place: "/policy" },
  );
}

function versionOf({ document, readAt, problem }: PolicyInForce): Html {
  return html`${problem === undefined ? html`` : html`<p class="notice" role="alert">${shown(problem, 2000)}</p>`}
  ${facts([
    ["Version", html`<code>${document.sha256}</code>`],
    ["From", document.source],
    ["Last read", timeOr(readAt, "never by an executor")],
  ])}`;
}

function killedNote(killed: KillSwitch | null): Html {
  if (killed === null) return html``;
  const { scope, by, reason } = killed;
  return html`<p class="notice">
    Switched off (${shown(scope)}) by ${shown(by)}: ${shown(reason, 600)}
  </p>`;
}

function questionForm({ namespace, app, trigger, reason }: PolicyQuestion): Html {
  return html`<h2>What holds for an app, and why</h2>
    <form class="filter" method="get" action="/policy">
      ${input("namespace", "Namespace", namespace)} ${input("app", "App", app)}
      ${input("trigger", "Trigger", trigger)} ${input("reason", "Reason", reason)}
      <button type="submit">Explain</button>
    </form>`;
}

function explained({ key, rule, considered }: Explanation, { trigger = "" }: PolicyQuestion): Html {
  return html`<p role="status">
      ${
        rule === undefined || key === undefined
          ? html`No rule is for ${shown(trigger)}: nothing is done.`
          : html`The key <code>${shown(key)}</code> says <code>${shown(rule.text, 600)}</code>.`
      }
    </p>
    ${table({
      caption: "The keys that were looked at, the most specific first",
      columns: ["Key", "Result"],
      rows: considered.map((one) => [shown(one.key), one.result]),
      empty: "",
    })}`;
}

function tryForm(text: string, viewer: Viewer): Html {
  return html`<p>
      Paste a notification as Alertmanager sends it, one alert of it, or its labels as JSON. It is
      decided as if it came now; nothing is stored and nothing is done.
    </p>
    <form method="post" action="/policy/try">
      ${csrfField(viewer)}
      <label for="alert">Alert (JSON)</label>
      <textarea id="alert" name="alert" rows="10" required>${text}</textarea>
      <button type="submit">Try</button>
    </form>`;
}

export interface TriedAlert {
  readonly name: string;
  readonly trial: Trial;
}

interface TrialPage {
  readonly text: string;
  readonly trials: readonly TriedAlert[];
  /** How many more alerts were pasted. */
  readonly hidden: number;
}

/** Decide's path for alerts that were pasted. */
export function trialPage({ text, trials, hidden }: TrialPage, viewer: Viewer): string {
  return sitePage(
    "What would become of it",
    html`${trials.map(
        ({ name, trial }) =>
          html`<h2>${shown(name)}</h2>
            ${trialOf(trial)}`,
      )}
      ${hidden > 0 ? html`<p>${String(hidden)} more alerts were not looked at.</p>` : html``}
      <p>The plan itself, and what the cluster says to it, are only found out by a run.</p>
      <h2>Try again</h2>
      ${tryForm(text, viewer)}`,
    { place: "/policy" },
  );
}

function trialOf(trial: Trial): Html {
  switch (trial.kind) {
    case "resolved":
      return html`<p>It is resolved: it would end what is open, and begin nothing.</p>`;
    case "no runbook":
      return html`<p>
        No runbook of the catalogue is for it: it would be kept, and nothing done.
      </p>`;
    case "refused":
      return html`<p>
        The runbook ${shown(trial.runbook)} is for it, but: ${shown(trial.why, 600)}
      </p>`;
    case "decided":
      return html`<p role="status">${verdictOf(trial)}</p>
        <ol>
          ${trial.decision.path.map((step) => html`<li>${shown(step, 600)}</li>`)}
        </ol>
        ${facts([
          ["Runbook", shown(trial.runbook)],
          ["Target", shown(trial.target)],
        ])}
        ${table({
          caption: "The keys that were looked at",
          columns: ["Key", "Result"],
          rows: trial.decision.considered.map(({ key, result }) => [shown(key), result]),
          empty: "No key was looked at.",
        })}`;
  }
}

function verdictOf({ decision: { verdict } }: Extract<Trial, { kind: "decided" }>): Html {
  if (verdict.kind === "skip") return html`Nothing would be done (${words(verdict.state)}).`;
  const action = html`<code>${shown(verdict.rule.text, 600)}</code>`;
  if (verdict.kind === "shadow") return html`It would only be written down: ${action}.`;
  const asked =
    verdict.approval === undefined
      ? "without asking anybody"
      : `once ${verdict.approval.quorum} of ${verdict.approval.approvers.join(", ")} said yes`;
  const how = verdict.dryRun ? "checked by the cluster (dry run)" : "done";
  return html`It would be ${how} ${shown(asked, 600)}: ${action}.`;
}
