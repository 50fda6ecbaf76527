import { expect, test } from "@jest/globals";
import { ConfigError } from "../../lib/config.ts";
import { readRunbooksConfig } from "../../runbooks/config.ts";

const env = {
  AIOPS_DATABASE_URL: "postgres://db/fettle",
  RUNBOOK_WEBHOOK_TOKEN: "awh_0123456789abcdef",
};

function problemsOf(more: Record<string, string>): readonly string[] {
  try {
    readRunbooksConfig({ ...env, ...more });
    return [];
  } catch (error) {
    return error instanceof ConfigError ? error.problems : [String(error)];
  }
}

test("by default nothing is remediated, nobody may approve, and everything is a dry run", () => {
  expect(readRunbooksConfig(env)).toMatchObject({
    enabled: false,
    dryRun: true,
    requireApproval: true,
    approvers: [],
    policy: "",
  });
});

test("without a credential only a loopback address may be listened on", () => {
  const open = { RUNBOOK_WEBHOOK_TOKEN: "", RUNBOOKS_HOST: "0.0.0.0" };

  expect(problemsOf(open)).toEqual([
    expect.stringMatching(
      /^RUNBOOK_WEBHOOK_TOKEN: is required .* when RUNBOOKS_HOST is 0\.0\.0\.0/,
    ),
  ]);
  expect(problemsOf({ ...open, RUNBOOKS_HOST: "127.0.0.1" })).toEqual([]);
});

test("short secrets and a policy that cannot be read are told together, without the secrets", () => {
  const problems = problemsOf({
    RUNBOOK_WEBHOOK_TOKEN: "hunter2",
    AIOPS_WEBHOOK_SECRET: "hunter3",
    RUNBOOK_APPROVAL_SECRET: "hunter4",
    RUNBOOK_AUTOFIX_POLICY: "latency=reboot",
  });

  expect(problems).toEqual([
    "RUNBOOK_APPROVAL_SECRET: must have at least 32 characters",
    "RUNBOOK_WEBHOOK_TOKEN: must have at least 16 characters",
    "AIOPS_WEBHOOK_SECRET: must have at least 16 characters",
    expect.stringMatching(
      /^RUNBOOK_AUTOFIX_POLICY: line 1, column 9: "reboot" is not an action \(/,
    ),
  ]);
});

test("a policy may name restart_container only where there is a hypervisor to ask", () => {
  const policy = { RUNBOOK_AUTOFIX_POLICY: "down=restart_container" };
  const hypervisor = {
    RUNBOOK_HYPERVISOR_URL: "https://hypervisor.example.com",
    RUNBOOK_HYPERVISOR_TOKEN: "hv_0123456789abcdef",
  };

  expect(problemsOf(policy)).toEqual([
    "RUNBOOK_AUTOFIX_POLICY: line 1, column 6: restart_container needs a hypervisor: RUNBOOK_HYPERVISOR_URL is not set",
  ]);
  expect(problemsOf({ ...policy, ...hypervisor })).toEqual([]);
  expect(problemsOf({ ...hypervisor, RUNBOOK_AUTOFIX_POLICY: "down=restart_container:2" })).toEqual(
    [expect.stringContaining("restart_container has no argument")],
  );
});

test("a hypervisor without a token, or with files that cannot be used, is no hypervisor", () => {
  const url = { RUNBOOK_HYPERVISOR_URL: "http://hypervisor:8443" };
  const token = { RUNBOOK_HYPERVISOR_TOKEN: "hv_0123456789abcdef" };
  const both = "RUNBOOK_HYPERVISOR_URL and RUNBOOK_HYPERVISOR_TOKEN: set both or none";

  expect(problemsOf(url)).toEqual([both]);
  expect(problemsOf(token)).toEqual([both]);
  expect(
    problemsOf({ ...url, ...token, RUNBOOK_HYPERVISOR_CA_FILE: "/does/not/exist.pem" }),
  ).toEqual([
    "RUNBOOK_HYPERVISOR_CA_FILE: needs an https:// address in RUNBOOK_HYPERVISOR_URL",
    expect.stringMatching(/^RUNBOOK_HYPERVISOR_CA_FILE: \/does\/not\/exist.pem: ENOENT/),
  ]);
});
