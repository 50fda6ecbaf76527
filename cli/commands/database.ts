import type { AddCommands } from "../context.ts";
import { armFailpoint } from "../../lib/failpoint.ts";
import { migrate } from "../../lib/migrate.ts";
import { silentLog } from "../../lib/log.ts";
import { postgresUrl, readConfig, required } from "../../lib/config.ts";
import { withProgress } from "../progress.ts";

const shape = {
  databaseUrl: required(
    "AIOPS_DATABASE_URL",
    postgresUrl,
    "PostgreSQL address, of a role that may create tables",
  ),
};

/** `fettle migrate` */
export const addDatabaseCommands: AddCommands = (program, context) => {
  program
    .command("migrate")
    .description("bring the database's schema up to date")
    .option("--dry-run", "only say what would be applied")
    .option("--json", "print the result as JSON")
    .action(async ({ dryRun = false, json = false }: { dryRun?: boolean; json?: boolean }) => {
      armFailpoint(context.env["FETTLE_FAILPOINT"]);
      const { databaseUrl } = readConfig(shape, context.env);
      const applied = await withProgress(
        "Migrating the database",
        { ...context, quiet: json },
        async () => migrate(databaseUrl.reveal(), silentLog, { dryRun }),
      );
      const verb = dryRun ? "would apply" : "applied";
      if (json) context.out(JSON.stringify({ dryRun, applied }));
      else
        context.out(
          applied.length === 0 ? "The schema is up to date." : `${verb}: ${applied.join(", ")}`,
        );
    });
};
