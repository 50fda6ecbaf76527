import { ensurePrograms, MissingProgramsError } from "./ensure.ts";
import { runWithServices } from "./run.ts";
import { sweep, sweepAbandoned } from "./sweep.ts";

const USAGE = `Usage:
  ops/test/services ensure                find the servers that the tests need, install what is missing
  ops/test/services run -- <command...>   run a command beside a PostgreSQL and a Redis of its own
  ops/test/services sweep [folder]        stop what a killed run left behind
`;

/** sysexits.h EX_USAGE is 64; the rest of this project says 2. */
const EXIT_USAGE = 2;

process.exitCode = await main(process.argv.slice(2));

async function main([verb, ...rest]: readonly string[]): Promise<number> {
  try {
    switch (verb) {
      case "ensure":
        ensurePrograms(process.env, notice);
        return 0;
      case "run":
        return await run(rest[0] === "--" ? rest.slice(1) : rest);
      case "sweep":
        await (rest[0] === undefined ? sweepAbandoned() : sweep(rest[0]));
        return 0;
      case undefined:
      default:
        process.stderr.write(USAGE);
        return EXIT_USAGE;
    }
  } catch (error) {
    notice(error instanceof MissingProgramsError ? error.message : String(error));
    return 1;
  }
}

async function run(command: readonly string[]): Promise<number> {
  if (command.length > 0) return runWithServices(command, notice);
  process.stderr.write(USAGE);
  return EXIT_USAGE;
}

function notice(line: string): void {
  process.stderr.write(`services: ${line}\n`);
}
