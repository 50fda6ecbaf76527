import type { Command } from "commander";

/** The command under which others stand, such as `backtest`: found, or made by whoever comes first. */
export function groupOf(program: Command, name: string, description: string): Command {
  const present = program.commands.find((command) => command.name() === name);
  return present ?? program.command(name).description(description);
}
