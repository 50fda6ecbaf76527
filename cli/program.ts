import { Command, CommanderError } from "commander";
import { hasCode, messageOf } from "../lib/error.ts";
import { version } from "../lib/version.ts";
import { addAlertCommands } from "./commands/alerts.ts";
import { addApprovalCommands } from "./commands/approval.ts";
import { addAuditCommands } from "./commands/audit.ts";
import { addBacktestPolicyCommands } from "./commands/backtest-policy.ts";
import { addBackupCommands } from "./commands/backup.ts";
import { addBreakerCommands } from "./commands/breaker.ts";
import { addCatalogCommands } from "./commands/catalog.ts";
import { addDatabaseCommands } from "./commands/database.ts";
import { addDecisionCommands } from "./commands/decisions.ts";
import { addDetectorCommands } from "./commands/detector.ts";
import { addDoctorCommand } from "./commands/doctor.ts";
import { addDemoCommand } from "./commands/demo.ts";
import { addExportCommands } from "./commands/export.ts";
import { addKillSwitchCommands } from "./commands/kill-switch.ts";
import { addKubernetesCommands } from "./commands/kubernetes.ts";
import { addPolicyCommands } from "./commands/policy.ts";
import { addRunCommands } from "./commands/runs.ts";
import { addServiceCommands } from "./commands/services.ts";
import { addShadowCommands } from "./commands/shadow.ts";
import { addSlackCommands } from "./commands/slack.ts";
import type { Context } from "./context.ts";
import { EXIT, exitCodeOf } from "./exit-code.ts";

const EXIT_CODES = `
Exit codes: 0 done, 1 error, 2 wrong usage or configuration, 3 refused, 4 not found, 5 not available now.
Configuration comes from environment variables and a .env file; .env.example lists them all.`;

/** Runs one `fettle …` command line. Never throws: what goes wrong is said on stderr and in the exit code. */
export async function runCommandLine(args: readonly string[], context: Context): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = new Command("fettle")
    .description(
      "Watches Prometheus, says what is strange and why, asks, remediates at most once, and proves it.",
    )
    .version(version)
    .addHelpText("after", EXIT_CODES)
    .showHelpAfterError("(see --help)")
    .enablePositionalOptions() // an option belongs to the command that it stands behind
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        context.out(text.trimEnd());
      },
      writeErr: (text) => {
        context.err(text.trimEnd());
      },
    });
  const finish = (code: number) => {
    exitCode = code;
  };
  for (const add of [
    addDemoCommand,
    addServiceCommands,
    addDatabaseCommands,
    addBackupCommands,
    addDoctorCommand,
    addAlertCommands,
    addRunCommands,
    addApprovalCommands,
    addAuditCommands,
    addBreakerCommands,
    addKillSwitchCommands,
    addPolicyCommands,
    addKubernetesCommands,
    addCatalogCommands,
    addExportCommands,
    addDecisionCommands,
    addShadowCommands,
    addSlackCommands,
    addDetectorCommands,
    addBacktestPolicyCommands,
  ]) {
    add(program, context, finish);
  }
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    context.err(`fettle: ${messageOf(error)}${hintOf(error)}`);
    return exitCodeOf(error);
  }
}

const UNDEFINED_TABLE = "42P01";

/** What helps, where the error itself does not say it. */
function hintOf(error: unknown): string {
  return hasCode(error, UNDEFINED_TABLE) ? " (new database? run: fettle migrate)" : "";
}
