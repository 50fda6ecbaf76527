import type { Approval } from "../approval/answer.ts";
import type { Run } from "../types/run.ts";
import { html, type Html } from "../../lib/pages/html.ts";
import { page } from "../../lib/pages/layout.ts";

export interface ApprovalPage {
  readonly approval: Approval;
  readonly run: Run;
  readonly approver: string;
  readonly token: string;
  readonly verdict: "approve" | "reject";
}

/** The question, with what is needed to answer it. Looking at it decides nothing: only its form does, by POST. */
export function approvalPage({ approval, run, approver, token, verdict }: ApprovalPage): string {
  const doing = verdict === "approve" ? "Approve" : "Reject";
  return page(
    `${doing}: ${run.namespace}/${run.app}?`,
    html`${facts(approval, run)}
      <p>You answer as <strong>${approver}</strong>. You are recorded as the one who decided.</p>
      <form method="post" action="/${verdict}">
        <input type="hidden" name="id" value="${approval.id}" />
        <input type="hidden" name="token" value="${token}" />
        <label for="reason">Reason (optional)</label>
        <input type="text" id="reason" name="reason" maxlength="500" />
        <button type="submit">${doing}</button>
      </form>`,
  );
}

function facts({ plan, expiresAt }: Approval, run: Run): Html {
  const { trigger } = run;
  const annotations = new Map(Object.entries(trigger.annotations));
  const evidence = ["summary", "sparkline", "zscore", "delta"]
    .filter((name) => annotations.has(name))
    .map(
      (name) =>
        html`<dt>${name}</dt>
          <dd>${annotations.get(name) ?? ""}</dd>`,
    );
  return html`${plan.dryRun ? html`<p><span class="badge">DRY-RUN</span> Nothing will be changed.</p>` : html``}
    <dl>
      <dt>What fired</dt>
      <dd>${trigger.alertname} ${trigger.reason}</dd>
      ${evidence}
      <dt>Plan</dt>
      <dd>${plan.summary}</dd>
      <dt>Target</dt>
      <dd>${run.targetKey}</dd>
      <dt>Expires</dt>
      <dd>
        <time datetime="${expiresAt.toISOString()}">${expiresAt.toISOString()}</time>, then it is
        rejected
      </dd>
      <dt>Run</dt>
      <dd>${run.id}</dd>
    </dl>`;
}

/** What became of it, said calmly also to the one who came second. */
export function answeredPage(title: string, text: string): string {
  return page(title, html`<p>${text}</p>`);
}
