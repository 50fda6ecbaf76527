import { expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { readRunbooksConfig } from "../../runbooks/config.ts";
import { startRunbooks } from "../../runbooks/main.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startSlack } from "../fakes/slack.ts";
import { createTestDatabase, openTestDatabase } from "../servers/postgres.ts";
import { givenNotices } from "./given-notices.ts";

test("the service tells Slack of its runs, with links where no click can come back, and how late it is", async () => {
  const testDatabase = await createTestDatabase();
  const slack = await startSlack();
  const database = openTestDatabase(testDatabase.url);
  const setup = givenNotices(database);
  const config = readRunbooksConfig({
    AIOPS_DATABASE_URL: testDatabase.url,
    RUNBOOKS_PORT: "0",
    RUNBOOKS_URL: "https://fettle.example.com",
    RUNBOOK_POLICY_CONFIGMAP: "none",
    SLACK_BOT_TOKEN: slack.token,
    SLACK_CHANNEL: "C0FETTLE",
    SLACK_API_URL: slack.apiUrl,
    RUNBOOKS_INTERNAL_HOSTS: "127.0.0.1",
  });
  const service = await startRunbooks(config, silentLog);
  try {
    await setup.ask(await setup.run({ app: "checkout" }));
    await waitUntil("the message", async () => slack.messages.length > 0);
    const metrics = await (await fetch(`${service.url ?? ""}/metrics`)).text();

    expect(slack.messages[0]?.text).toContain("Approval needed: shop/checkout");
    expect(JSON.stringify(slack.messages[0]?.blocks)).toContain(
      "https://fettle.example.com/approvals/apr_",
    );
    expect(metrics).toContain("runbooks_outbox_oldest_age_seconds");
    expect(metrics).toContain('runbooks_outbox_letters_total{channel="slack",result="delivered"');
  } finally {
    await service.stop();
    await database.close();
    await slack.stop();
    await testDatabase.drop();
  }
});
