import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { readDefaultModel } from "./default-model.ts";
import type { ScaledForest } from "./forest.ts";
import { emit, NOTHING_HELD } from "./hold.ts";
import { openModel } from "./model.ts";
import { HOLD_MARGIN, HOLD_POINTS } from "./rules.ts";
import { createSeriesState, scorePoint } from "./score.ts";
import { inFile, parseLine } from "./tools/csv-points.ts";
import type { Point } from "./types/scoring.ts";

const DATA_FOLDER = "data";
const RULES = { holdPoints: HOLD_POINTS, holdMargin: HOLD_MARGIN };

/** The scores of one file as NAB's scorer reads them: one per data row, 0..1, oldest first. */
interface NabScores {
  /** As in the benchmark's label file: `folder/name.csv`. */
  readonly file: string;
  readonly scores: readonly number[];
}

export interface NabOptions {
  /** A checkout of the benchmark: its files lie under `data/`. */
  readonly folder: string;
  /** As `folder/name.csv`; all files when left out. */
  readonly files?: readonly string[];
  /** The shipped default model when left out. */
  readonly forest?: ScaledForest;
  /** Called when a file is done, for a progress bar. */
  readonly onFile?: (progress: {
    readonly file: string;
    readonly done: number;
    readonly total: number;
  }) => void;
}

/**
 * Scores a folder in the format of the Numenta Anomaly Benchmark with what production uses: `scorePoint`, the
 * default settings, and the refractory. The sink gets one line of JSON per file, without the line feed.
 *
 * @throws Error naming the file and the row that cannot be read
 */
export async function scoreNabFolder(
  { folder, files, forest: given, onFile }: NabOptions,
  sink: (line: string) => void | Promise<void>,
): Promise<void> {
  const forest = given ?? openModel(await readDefaultModel()).forest;
  const chosen = files ?? (await listFiles(folder));
  for (const [index, file] of chosen.entries()) {
    const text = await readFile(join(folder, DATA_FOLDER, file), "utf8");
    const scores = scoreSeries(parseNabFile(text, file), forest);
    await sink(JSON.stringify({ file, scores } satisfies NabScores));
    onFile?.({ file, done: index + 1, total: chosen.length });
  }
}

/** What an alert would be raised on: the published score where it counts, 0 where it is held back. */
function scoreSeries(points: readonly Point[], forest: ScaledForest | undefined): number[] {
  const state = createSeriesState();
  let hold = NOTHING_HELD;
  return points.map((point) => {
    const score = scorePoint(state, point, forest)?.score ?? 0;
    const [emitted, next] = emit(hold, score, RULES);
    hold = next;
    return emitted ? score : 0;
  });
}

/** @throws Error naming the row that is not `timestamp,value` */
function parseNabFile(text: string, file: string): Point[] {
  const [header, ...rows] = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (header?.trim() !== "timestamp,value") {
    throw new Error(`${file}: the first line is not "timestamp,value"`);
  }
  return rows.map((row, index) => {
    try {
      return parseLine(row, index + 2);
    } catch (error) {
      throw inFile(file, error);
    }
  });
}

async function listFiles(folder: string): Promise<readonly string[]> {
  const names = await readdir(join(folder, DATA_FOLDER), { recursive: true });
  return names
    .filter((name) => name.endsWith(".csv"))
    .map((name) => name.replaceAll("\\", "/"))
    .sort();
}
