import { createWriteStream } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { finished } from "node:stream/promises";
import type { Backtest } from "../../detector/main.ts";
import { silentLog } from "../../lib/log.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { parsePeriod } from "../period.ts";
import { withProgress, type Report } from "../progress.ts";
import { describeProposal, proposalView } from "./detector-proposal.ts";
import { describeTraining, episodeTable, judgementTable, summaryOf } from "./detector-tables.ts";

interface PeriodOptions {
  readonly from: string;
  readonly to: string;
  readonly json?: boolean;
}

/** `fettle detect | train | backtest detector`: the detector's one-shot commands. */
export const addDetectorCommands: AddCommands = (program, context, finish) => {
  program
    .command("detect")
    .description("look once: at the configured metrics' newest day, or at a file")
    .option("--once", "query Prometheus, and say what is strange now (exit code 0 either way)")
    .option("--file <csv>", "a file of timestamp,value lines instead")
    .option("--json", "print JSON")
    .action(async (options: { once?: boolean; file?: string; json?: boolean }) => {
      if ((options.once === true) === (options.file !== undefined)) {
        throw new CommandFailure(EXIT.usage, "give either --once or --file");
      }
      if (options.file !== undefined)
        await detectInFile(options.file, options.json === true, context);
      else await detectNow(options.json === true, context);
    });
  withPeriod(program.command("train"), "7d")
    .description(
      "train a model on your own past; it takes over only if a replay says that it is no worse",
    )
    .option("--compare", "only compare, change nothing")
    .option("--masks <csv>", "metric,from,to lines of times that must not be learned")
    .option("--seed <n>", "of the random numbers", "1")
    .action(
      async (options: PeriodOptions & { compare?: boolean; masks?: string; seed: string }) => {
        finish(await train(options, context));
      },
    );
  const group = program.command("backtest").description("live through the past again");
  withPeriod(group.command("detector"), "7d")
    .description("what the detector would have said, and how well, against labelled incidents")
    .option("--labels <csv>", "metric,from,to lines of real incidents")
    .option("--propose", "propose a score threshold from people's labels; changes nothing")
    .option("--html <file>", "also write a page with a chart for each alert")
    .action(async (options: BacktestOptions & { propose?: boolean }) => {
      if (options.propose === true) await propose(options, context);
      else await backtest(options, context);
    });
  withPeriod(program.command("backfill"), "7d")
    .description("score the past and write it to the feature store")
    .action(async (options: PeriodOptions) => {
      await backfill(options, context);
    });
  program
    .command("nab <folder>")
    .description(
      "score a folder in the format of the Numenta Anomaly Benchmark, with default settings",
    )
    .requiredOption("--out <file>", "JSON lines of scores, one per file")
    .option("--files <list>", "a file that lists the series; all of data/ by default")
    .action(async (folder: string, options: { out: string; files?: string }) => {
      await scoreNab(folder, options, context);
    });
};

interface BacktestOptions extends PeriodOptions {
  readonly labels?: string;
  readonly html?: string;
}

function withPeriod(command: ReturnType<Parameters<AddCommands>[0]["command"]>, from: string) {
  return command
    .option("--from <time>", "begin: a time, or an age such as 7d", from)
    .option("--to <time>", "end", "now")
    .option("--json", "print JSON");
}

async function configured({ env }: Context) {
  const detector = await import("../../detector/main.ts");
  return { ...detector, config: detector.readDetectorConfig(env) };
}

/** The asked time. @throws CommandFailure that names the option */
function periodOf(
  options: { readonly from: string; readonly to: string },
  {
    config,
    HISTORY_STEPS_MAX: stepsMax,
  }: Pick<Awaited<ReturnType<typeof configured>>, "config" | "HISTORY_STEPS_MAX">,
): { readonly from: number; readonly to: number } {
  const period = parsePeriod(options, Date.now());
  const seconds = config.intervalSeconds;
  const steps = Math.floor((period.to - period.from) / 1000 / seconds);
  if (steps > stepsMax) {
    throw new CommandFailure(
      EXIT.usage,
      `--from ${options.from} is ${steps} steps of ${seconds} s, at most ${stepsMax} can be read: give a shorter time`,
    );
  }
  return period;
}

async function detectInFile(file: string, json: boolean, context: Context): Promise<void> {
  const { detectFile, config } = await configured(context);
  const episodes = await detectFile(file, config, silentLog);
  if (json) context.out(JSON.stringify(episodes.map(summaryOf)));
  else
    context.out(
      episodes.length === 0
        ? "Nothing strange."
        : episodeTable(episodes.map((episode) => [file, episode] as const)),
    );
}

const ONCE_PERIOD = { from: "1d", to: "now" };

async function detectNow(json: boolean, context: Context): Promise<void> {
  const { replays } = await runBacktest({ ...ONCE_PERIOD, json }, context);
  const open = replays.flatMap(({ metric, series, episodes }) =>
    episodes
      .filter(({ closedAt }) => closedAt === undefined)
      .map((episode) => [`${metric} ${series}`, episode] as const),
  );
  if (json)
    context.out(
      JSON.stringify(open.map(([series, episode]) => ({ series, ...summaryOf(episode) }))),
    );
  else context.out(open.length === 0 ? "Nothing strange now." : episodeTable(open));
}

async function runBacktest(
  options: BacktestOptions,
  context: Context,
): Promise<Backtest & { readonly html: string | undefined }> {
  const detector = await configured(context);
  const { backtestDetector, config } = detector;
  const period = periodOf(options, detector);
  return withProgress(
    "Living through the past",
    { ...context, quiet: options.json === true },
    async (report) =>
      backtestDetector(config, silentLog, {
        period,
        labels: options.labels,
        html: options.html !== undefined,
        onHistory: historyReport(report),
        onReplay: (done, total) => {
          report(`replayed ${done} of ${total} series`);
        },
      }),
  );
}

function historyReport(report: Report) {
  return ({ metric, done, total }: { metric: string; done: number; total: number }) => {
    report(`${metric}: ${done} of ${total} steps read`);
  };
}

async function backtest(options: BacktestOptions, context: Context): Promise<void> {
  const { judgement, replays, html } = await runBacktest(options, context);
  if (options.html !== undefined && html !== undefined) await writeFile(options.html, html);
  if (options.json === true) {
    const alerts = replays.flatMap(({ metric, series, episodes }) =>
      episodes.map((episode) => ({ metric, series, ...summaryOf(episode) })),
    );
    context.out(JSON.stringify({ ...judgement, list: alerts }));
    return;
  }
  context.out(judgementTable(judgement));
  const list = replays.flatMap(({ metric, series, episodes }) =>
    episodes.map((episode) => [`${metric} ${series}`, episode] as const),
  );
  if (list.length > 0) context.out(`\n${episodeTable(list)}`);
}

async function propose(options: BacktestOptions, context: Context): Promise<void> {
  if (options.labels !== undefined) {
    throw new CommandFailure(
      EXIT.usage,
      "--labels cannot be given with --propose: its labels are those of people, in the database",
    );
  }
  const detector = await configured(context);
  const period = periodOf(options, detector);
  const result = await withProgress(
    "Living through the past",
    { ...context, quiet: options.json === true },
    async (report) =>
      detector.proposeDetectorThreshold(detector.config, silentLog, {
        period,
        html: options.html !== undefined,
        onHistory: historyReport(report),
        onReplay: (done, total) => {
          report(`replayed ${done} of ${total}`);
        },
      }),
  );
  if (result.kind === "refused") throw new CommandFailure(EXIT.refused, result.why);
  const { html, ...proposal } = result;
  if (options.html !== undefined && html !== undefined) await writeFile(options.html, html);
  context.out(
    options.json === true ? JSON.stringify(proposalView(proposal)) : describeProposal(proposal),
  );
}

/** The generator has 32 bits: a larger seed would be another one's twin. */
const SEED_MAX = 2 ** 32 - 1;

function parseSeed(text: string): number {
  const seed = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (seed <= SEED_MAX) return seed;
  throw new CommandFailure(
    EXIT.usage,
    `--seed must be a whole number from 0 to ${SEED_MAX}, got ${JSON.stringify(text)}`,
  );
}

async function train(
  options: PeriodOptions & { compare?: boolean; masks?: string; seed: string },
  context: Context,
): Promise<number> {
  const seed = parseSeed(options.seed);
  const detector = await configured(context);
  const { trainDetector, config } = detector;
  const period = periodOf(options, detector);
  const compareOnly = options.compare === true;
  const result = await withProgress(
    "Training",
    { ...context, quiet: options.json === true },
    async (report) =>
      trainDetector(config, silentLog, {
        period,
        seed,
        masks: options.masks,
        compareOnly,
        onHistory: historyReport(report),
      }),
  );
  context.out(
    options.json === true ? JSON.stringify(result) : describeTraining(result, compareOnly),
  );
  return result.comparison.promote ? EXIT.ok : EXIT.refused;
}

async function backfill(options: PeriodOptions, context: Context): Promise<void> {
  const detector = await configured(context);
  const { backfillFeatures, config } = detector;
  const period = periodOf(options, detector);
  const rows = await withProgress(
    "Scoring the past",
    { ...context, quiet: options.json === true },
    async (report) => backfillFeatures(config, silentLog, period, historyReport(report)),
  );
  context.out(options.json === true ? JSON.stringify({ rows }) : `${rows} rows written`);
}

async function scoreNab(
  folder: string,
  { out, files }: { readonly out: string; readonly files?: string },
  context: Context,
): Promise<void> {
  const { scoreNabFolder } = await import("../../detector/main.ts");
  const listed =
    files === undefined
      ? undefined
      : (await readFile(files, "utf8")).split(/\r?\n/).filter((line) => line !== "");
  const sink = createWriteStream(out);
  await once(sink, "open");
  await withProgress("Scoring", { ...context, quiet: false }, async (report) => {
    const onFile = ({ file, done, total }: { file: string; done: number; total: number }) => {
      report(`${done} of ${total}: ${file}`);
    };
    await scoreNabFolder(
      { folder, ...(listed === undefined ? {} : { files: listed }), onFile },
      (line) => {
        sink.write(`${line}\n`);
      },
    );
  });
  sink.end();
  await finished(sink);
  context.out(`scores written to ${out}`);
}
