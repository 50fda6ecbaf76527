import { Listr } from "listr2";
import type { Context } from "./context.ts";

/** Says how far a piece of work is; each call replaces the text before it. */
export type Report = (text: string) => void;

/**
 * Runs one long piece of work with a line that moves on a terminal. Without a terminal, or with `quiet`, it says nothing: a
 * script reads the result, not the way to it.
 */
export async function withProgress<T>(
  title: string,
  { terminal, quiet }: Pick<Context, "terminal"> & { readonly quiet: boolean },
  work: (report: Report) => Promise<T>,
): Promise<T> {
  if (!terminal || quiet) return work(() => undefined);
  const results: T[] = [];
  await new Listr([
    {
      title,
      task: async (_context, task) => {
        results.push(
          await work((text) => {
            task.output = text;
          }),
        );
      },
    },
  ]).run();
  return results[0] as T;
}
