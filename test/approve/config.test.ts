import { expect, test } from "@jest/globals";
import { ConfigError } from "../../lib/config.ts";
import { readRunbooksConfig } from "../../runbooks/config.ts";

function problemsOf(more: Record<string, string>): readonly string[] {
  try {
    readRunbooksConfig({ AIOPS_DATABASE_URL: "postgres://db/fettle", ...more });
    return [];
  } catch (error) {
    return error instanceof ConfigError ? error.problems : [String(error)];
  }
}

const SECRET = { RUNBOOK_APPROVAL_SECRET: "0123456789012345678901234567890123" };
const SIGNED = { ...SECRET, SLACK_SIGNING_SECRET: "0123456789abcdef" };

test("people, accounts and groups may stand side by side", () => {
  expect(problemsOf({ RUNBOOK_APPROVERS: "ana, ivan=U0IVAN ,W0EVA,@S0CALL" })).toEqual([]);
});

test.each<[Record<string, string>, string]>([
  [{ RUNBOOK_APPROVERS: "@oncall" }, "RUNBOOK_APPROVERS: @oncall: a usergroup is written @S0123AB"],
  [
    { RUNBOOK_APPROVERS: "ana=ivan" },
    "RUNBOOK_APPROVERS: ana=ivan: a person with a Slack account is written name=U0123AB",
  ],
  [
    { RUNBOOK_APPROVERS: "ana", RUNBOOK_PRODUCTION_NAMESPACES: "prod" },
    "RUNBOOK_APPROVERS: needs two people with RUNBOOK_PRODUCTION_NAMESPACES",
  ],
  [
    { SLACK_SIGNING_SECRET: "0123456789abcdef" },
    "RUNBOOK_APPROVAL_SECRET: is required with SLACK_SIGNING_SECRET: it proves our buttons",
  ],
  [{ ...SIGNED, SLACK_BOT_TOKEN: "xoxb-1" }, "SLACK_BOT_TOKEN and SLACK_CHANNEL: set both or none"],
  [
    { ...SIGNED, SLACK_SIGNING_SECRET_OLD: "hunter2" },
    "SLACK_SIGNING_SECRET_OLD: must have at least 16 characters",
  ],
])("%j is refused at the start", (more, problem) => {
  expect(problemsOf(more)).toEqual([problem]);
});

test("two people, or a group, are enough for production", () => {
  for (const approvers of ["ana,ivan", "@S0CALL"])
    expect(
      problemsOf({ RUNBOOK_APPROVERS: approvers, RUNBOOK_PRODUCTION_NAMESPACES: "prod" }),
    ).toEqual([]);
});
