import { readFile } from "node:fs/promises";
import type { CatalogCheck, CatalogTrial } from "../../runbooks/main.ts";
import type { AddCommands } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { groupOf } from "../group.ts";
import { table } from "../table.ts";

interface Options {
  readonly json?: boolean;
}

interface TrialOptions extends Options {
  readonly alert: string;
  readonly cluster: string;
}

/** `fettle runbooks lint | ls | schema | test`: the catalogue of runbooks. */
export const addCatalogCommands: AddCommands = (program, { out, err, env }) => {
  const runbooks = groupOf(program, "runbooks", "receive alerts and remediate by policy");
  const read = async (file: string | undefined): Promise<CatalogCheck> => {
    const { checkCatalog } = await import("../../runbooks/main.ts");
    return checkCatalog(file ?? env["RUNBOOKS_FILE"]);
  };
  const soundOnly = (check: CatalogCheck) => {
    if (check.kind === "sound") return check;
    for (const problem of check.problems) err(problem);
    throw new CommandFailure(EXIT.error, `${check.problems.length} problems`);
  };
  runbooks
    .command("lint [file]")
    .description("check a runbook file (RUNBOOKS_FILE, else the shipped one)")
    .option("--json", "print JSON")
    .action(async (file: string | undefined, { json }: Options) => {
      const check = await read(file);
      if (json === true) out(JSON.stringify(check));
      const { path, runbooks: found } = soundOnly(check);
      if (json !== true) out(`${path}: ${found.length} runbooks, all sound`);
    });
  runbooks
    .command("ls [file]")
    .description("list the runbooks of a file, in the order in which they are tried")
    .option("--json", "print JSON")
    .action(async (file: string | undefined, { json }: Options) => {
      const { runbooks: found } = soundOnly(await read(file));
      const rows = found.map(({ id, trigger, title }) => [id, trigger ?? "(metric)", title]);
      out(json === true ? JSON.stringify(found) : table(["ID", "TRIGGER", "TITLE"], rows));
    });
  runbooks
    .command("schema")
    .description("print the JSON schema of runbook files, for editors")
    .action(async () => {
      const { catalogSchemaText } = await import("../../runbooks/main.ts");
      out(catalogSchemaText());
    });
  runbooks
    .command("test [file]")
    .description("which runbook and target an alert comes to; exit code 4 without a runbook")
    .requiredOption("--alert <file>", "JSON: an alert, or a whole notification")
    .option("--cluster <name>", "as RUNBOOK_CLUSTER", env["RUNBOOK_CLUSTER"] ?? "default")
    .option("--json", "print JSON")
    .action(async (file: string | undefined, { alert, cluster, json }: TrialOptions) => {
      const { tryCatalog } = await import("../../runbooks/main.ts");
      const trial = await tryCatalog(
        file ?? env["RUNBOOKS_FILE"],
        labelsIn(await readFile(alert, "utf8"), alert),
        cluster,
      );
      out(json === true ? JSON.stringify(trial) : describeTrial(trial));
      if (trial.kind === "no runbook")
        throw new CommandFailure(EXIT.notFound, "no runbook matches this alert");
    });
};

/** Of an alert, or of the first of a notification. */
function labelsIn(text: string, file: string): Readonly<Record<string, string>> {
  const content = JSON.parse(text) as {
    readonly labels?: Record<string, string>;
    readonly alerts?: readonly { readonly labels?: Record<string, string> }[];
  } | null;
  const labels = content?.labels ?? content?.alerts?.[0]?.labels;
  if (labels === undefined) throw new CommandFailure(EXIT.usage, `${file}: has no labels`);
  return labels;
}

function describeTrial(trial: CatalogTrial): string {
  if (trial.kind === "no runbook") return "runbook: none";
  if (trial.kind === "nothing may be done")
    return `runbook: ${trial.runbook}\nnothing may be done: ${trial.why}`;
  const { runbook, trigger, reason, target } = trial;
  return [
    `runbook: ${runbook}`,
    `target:  ${target.namespace}/${target.kind}/${target.name} (app ${target.app})`,
    `trigger: ${trigger}${reason === "" ? "" : `:${reason}`}`,
    `policy:  fettle policy explain ${target.namespace} ${target.app} --trigger ${trigger}${reason === "" ? "" : ` --reason ${reason}`}`,
  ].join("\n");
}
