// `make notify`: tells the channels whose variables are set (SLACK_WEBHOOK_URL, DISCORD_WEBHOOK_URL, PAGERDUTY_ROUTING_KEY) what
// NOTIFY_TEXT says, with NOTIFY_SEVERITY (critical, error, warning or info). For workflows; the services tell by themselves.
import { notify } from "./notify-channels.ts";

const { NOTIFY_TEXT = "", NOTIFY_SEVERITY = "warning" } = process.env;
const failures = await notify(process.env, NOTIFY_TEXT, NOTIFY_SEVERITY);
for (const failure of failures) process.stderr.write(`notify: ${failure}\n`);
process.exitCode = failures.length === 0 ? 0 : 1;
