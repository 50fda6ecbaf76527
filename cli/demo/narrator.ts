import { styleText } from "node:util";
import type { Context } from "../context.ts";

/** Tells the demo's story as it happens: numbered steps, and lines below them. */
export interface Narrator {
  readonly step: (title: string) => void;
  readonly say: (text: string) => void;
  readonly highlight: (text: string) => void;
}

export function createNarrator({ out, terminal, env }: Context, steps: number): Narrator {
  const colour = terminal && (env["NO_COLOR"] ?? "") === "";
  const style = (format: Parameters<typeof styleText>[0], text: string) =>
    colour ? styleText(format, text) : text;
  const began = performance.now();
  let current = 0;
  return {
    step: (title) => {
      current += 1;
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      out(
        `\n${style("bold", `[${current}/${steps}] ${title}`)}  ${style("dim", `(${seconds} s)`)}`,
      );
    },
    say: (text) => {
      out(`      ${text.replaceAll("\n", "\n      ")}`);
    },
    highlight: (text) => {
      out(`      ${style(["bold", "yellow"], text)}`);
    },
  };
}
