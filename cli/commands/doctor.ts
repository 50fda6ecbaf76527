import type { DoctorResult } from "../../runbooks/main.ts";
import { plain } from "../as-usage.ts";
import type { AddCommands } from "../context.ts";
import { EXIT } from "../exit-code.ts";
import { table } from "../table.ts";

/** `fettle doctor`: everything that the runbooks service works with, looked at from here. */
export const addDoctorCommand: AddCommands = (program, { env, out }, finish) => {
  program
    .command("doctor")
    .description(
      "look at the database, Redis, Slack, the cluster's rights, Alertmanager and Prometheus; exit code 1 when something fails",
    )
    .option(
      "--namespace <names...>",
      "where actions shall be possible; RUNBOOK_NAMESPACES when not given",
    )
    .option("--json", "print JSON")
    .action(async ({ namespace = [], json }: { namespace?: readonly string[]; json?: boolean }) => {
      const { doctor } = await import("../../runbooks/main.ts");
      const results = await doctor(env, { namespaces: namespace });
      out(json === true ? JSON.stringify(results) : tableOf(results));
      finish(results.some(({ result }) => result === "failed") ? EXIT.error : EXIT.ok);
    });
};

function tableOf(results: readonly DoctorResult[]): string {
  const rows = results.map(({ result, area, what, detail }) =>
    [result === "failed" ? "FAILED" : result, area, what, detail].map(plain),
  );
  const count = (which: DoctorResult["result"]) =>
    results.filter(({ result }) => result === which).length;
  return `${table(["RESULT", "AREA", "WHAT", "DETAIL"], rows)}
${count("failed")} failed, ${count("warning")} warnings, ${count("ok")} ok, ${count("skipped")} not looked at`;
}
