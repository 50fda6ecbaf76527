import type { AddCommands } from "../context.ts";

/** `fettle demo` */
export const addDemoCommand: AddCommands = (program, context) => {
  program
    .command("demo")
    .description(
      "show the whole way, from a strange metric to the sealed record, on real servers of its own",
    )
    .option("--yes", "approve without asking (for scripts)")
    .option("--folder <path>", "where to put what it makes", `demo-${stamp(new Date())}`)
    .action(async ({ yes = false, folder }: { yes?: boolean; folder: string }) => {
      const { runDemo } = await import("../demo/run-demo.ts");
      await runDemo({ yes, folder }, context);
    });
};

function stamp(time: Date): string {
  return time.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
}
