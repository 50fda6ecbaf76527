import { Command } from "commander";
import { expect, test } from "@jest/globals";
import { groupOf } from "../../cli/group.ts";

test("commands of one group come together, whoever adds theirs first", () => {
  const program = new Command();
  groupOf(program, "backtest", "the past").command("detector");
  groupOf(program, "backtest", "another text").command("policy");

  expect(program.commands.map((command) => command.name())).toEqual(["backtest"]);
  expect(program.commands[0]?.description()).toBe("the past");
  expect(program.commands[0]?.commands.map((command) => command.name())).toEqual([
    "detector",
    "policy",
  ]);
});

test("a command with an argument of its own can be a group as well", async () => {
  const seen: string[] = [];
  const program = new Command().exitOverride();
  program.command("runs [run]").action((run?: string) => {
    seen.push(`runs ${run ?? "all"}`);
  });
  groupOf(program, "runs", "")
    .command("watch <run>")
    .action((run: string) => {
      seen.push(`watch ${run}`);
    });

  for (const args of [["runs"], ["runs", "run_1"], ["runs", "watch", "run_1"]])
    await program.parseAsync(args, { from: "user" });

  expect(seen).toEqual(["runs all", "runs run_1", "watch run_1"]);
});
