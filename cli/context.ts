import type { Command } from "commander";
import type { Environment } from "../lib/config.ts";

/** What a command may touch of the world, so that tests can give it another one. */
export interface Context {
  readonly env: Environment;
  readonly out: (text: string) => void;
  /** Resolves when the reader of stdout has kept up. */
  readonly drained?: () => Promise<void>;
  readonly err: (text: string) => void;
  /** Stdout is a terminal: progress moves, colours are on (unless NO_COLOR). */
  readonly terminal: boolean;
  /** Asks a person; undefined when nobody can answer (no terminal). */
  readonly ask: (question: string) => Promise<string | undefined>;
}

/** Adds commands to the program. `finish` sets the exit code of a command that ends well but not with 0. */
export type AddCommands = (
  program: Command,
  context: Context,
  finish: (code: number) => void,
) => void;
