import { silentLog } from "../../lib/log.ts";
import type { FoundDecision, KeptDecision, Replay } from "../../runbooks/main.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { groupOf } from "../group.ts";

/** `fettle decisions`: why something was done or not, and whether the same would be decided again. */
export const addDecisionCommands: AddCommands = (program, context, finish) => {
  const group = groupOf(program, "decisions", "what was decided about a run, and from what");
  group
    .command("show <run>")
    .description("the decision's gates, its input and the hashes of both")
    .option("--json", "print the whole record as JSON")
    .action(async (id: string, { json }: { json?: boolean }) => {
      const { decision } = await import("../../runbooks/main.ts");
      const kept = decidedOf(id, await decision(context.env, id, silentLog));
      context.out(json === true ? JSON.stringify(kept) : describe(kept));
    });
  group
    .command("replay <run>")
    .description("decide again from the record; exit code 1 when the outcome is another one")
    .option("--json", "print JSON")
    .action(async (id: string, { json }: { json?: boolean }) => {
      const { replay } = await import("../../runbooks/main.ts");
      const { found, replay: result } = await replay(context.env, id, silentLog);
      const { run } = decidedOf(id, found);
      if (result === undefined) return;
      if (json === true) context.out(JSON.stringify({ run, ...result }));
      else tell(result, context);
      finish(result.same ? EXIT.ok : EXIT.error);
    });
};

function decidedOf(id: string, found: FoundDecision): KeptDecision {
  if (found.kind === "no run") throw new CommandFailure(EXIT.notFound, `there is no run ${id}`);
  if (found.kind === "undecided")
    throw new CommandFailure(EXIT.notFound, `${id} is ${found.state}: there is no decision of it`);
  return found;
}

function describe({ run, state, decidedAbout, record }: KeptDecision): string {
  const { verdict, path, considered, input } = record;
  return [
    `${run}  ${decidedAbout}  ${state}`,
    `decided ${input.now}: ${verdict.kind === "skip" ? verdict.state : verdict.kind}`,
    "gates:",
    ...path.map((gate) => `  ${gate}`),
    ...(considered.length === 0 ? [] : ["policy keys:"]),
    ...considered.map(({ key, result }) => `  ${key}: ${result}`),
    `policy   ${record.policy_sha256 ?? "not known"}`,
    `input    ${record.input_sha256}`,
    `program  ${record.code_version}`,
  ].join("\n");
}

function tell({ same, decision, inputChanged, inputDiffers, decidedBy }: Replay, { out }: Context) {
  if (same) out("The same decision, byte for byte.");
  if (decision !== undefined)
    out(`Another decision: ${decision.path} was ${decision.recorded} and is ${decision.now} now.`);
  if (inputChanged) out("The input is not the one that was decided from: its hash differs.");
  for (const { path, recorded, now } of inputDiffers)
    out(`${path} is ${recorded} in the record and ${now} elsewhere in the database.`);
  if (decidedBy !== undefined) out(`It was decided by version ${decidedBy} of the program.`);
}
