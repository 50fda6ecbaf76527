import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { groupOf } from "../group.ts";

/** `fettle slack manifest | test`: the Slack app, and whether it works. */
export const addSlackCommands: AddCommands = (program, context, finish) => {
  const slack = groupOf(program, "slack", "the Slack app that asks people");
  slack
    .command("manifest")
    .description('print what Slack makes the app of (api.slack.com/apps, "from a manifest")')
    .option("--url <address>", "where Slack reaches the service; RUNBOOKS_URL when not given")
    .action(async ({ url }: { url?: string }) => {
      await printManifest(url ?? context.env["RUNBOOKS_URL"] ?? "", context);
    });
  slack
    .command("test")
    .description("say who the bot is, and post a line into SLACK_CHANNEL")
    .option("--json", "print JSON")
    .action(async ({ json }: { json?: boolean }) => {
      const { testSlack } = await import("../../runbooks/main.ts");
      const checks = await testSlack(context.env);
      if (checks === undefined)
        throw new CommandFailure(EXIT.usage, "SLACK_BOT_TOKEN and SLACK_CHANNEL are not set");
      if (json === true) context.out(JSON.stringify(checks));
      else
        for (const { what, ok, detail } of checks)
          context.out(`${ok ? "ok  " : "FAIL"}  ${what}${detail === "" ? "" : `: ${detail}`}`);
      if (checks.some(({ ok }) => !ok)) finish(EXIT.error);
    });
};

async function printManifest(url: string, { out }: Context): Promise<void> {
  if (!/^https:\/\/[^\s/]+/.test(url))
    throw new CommandFailure(
      EXIT.usage,
      `--url (or RUNBOOKS_URL) must be an https:// address that Slack reaches, got ${JSON.stringify(url.slice(0, 80))}`,
    );
  const { slackManifest } = await import("../../runbooks/main.ts");
  out(JSON.stringify(slackManifest(url.replace(/\/+$/, "")), null, 2));
}
