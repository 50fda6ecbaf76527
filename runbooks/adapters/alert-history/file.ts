import { open, type FileHandle } from "node:fs/promises";
import { canonicalJson, sha256Hex } from "../../../lib/canonical.ts";
import type { Alert, AlertFrame } from "../../../lib/contracts.ts";
import type { AlertHistory, PastAlert, Period } from "../../backtest/types.ts";
import { parseFrame } from "../../parse.ts";
import { AlertIndex } from "./alert-index.ts";
import { inPortions } from "./in-portions.ts";
import { LineReader, linesOf, LineTooLong } from "./lines.ts";

/** A line that is no alert. */
class AlertFileError extends Error {
  override readonly name = "AlertFileError";
}

const EXPECTED =
  'expected {"at": "2026-11-21T03:00:00Z", "resolvedAt"?: …, "labels": {…}, "source"?: …, "truncated"?: …} or a webhook as Alertmanager sends it';
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/**
 * Alerts from a file of JSON lines: one alert a line, or one webhook a line as it was received. They may stand in any
 * order; webhooks must stand in the order in which they came, so that each "resolved" finds its alert. The file is read
 * twice, so that only times are held in memory: it must be a file, not a pipe.
 */
export function alertFile(path: string): AlertHistory {
  return {
    name: "file",
    read: async function* (period) {
      const file = await open(path);
      try {
        const index = await indexOf(file, path, period);
        const alerts = new AlertReader(file);
        yield* inPortions(alertsOf(index, alerts));
      } finally {
        await file.close();
      }
    },
  };
}

class Misread extends Error {}

async function indexOf(file: FileHandle, path: string, { from, to }: Period): Promise<AlertIndex> {
  const index = new AlertIndex();
  const reading = { index, firing: new Map(), within: (at: number) => at >= from && at < to };
  try {
    for await (const lines of linesOf(file))
      for (const { number, offset, text } of lines)
        if (text.trim() !== "") addLine(text, offset, `${path}:${number}`, reading);
  } catch (error) {
    if (error instanceof LineTooLong) throw new AlertFileError(`${path}: ${error.message}`);
    throw error;
  }
  return index;
}

interface Reading {
  readonly index: AlertIndex;
  /** Rows of alerts that have not resolved yet. */
  readonly firing: Map<string, number>;
  readonly within: (at: number) => boolean;
}

function addLine(text: string, offset: number, place: string, reading: Reading): void {
  try {
    const value: unknown = JSON.parse(text);
    if (isFrame(value)) {
      addFrame(frameOf(text), offset, reading);
      return;
    }
    const { at, resolvedAt } = alertOf(value);
    if (reading.within(at)) reading.index.add({ at, resolvedAt, reference: offset, part: 0 });
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new AlertFileError(`${place}: is not JSON; ${EXPECTED}`, { cause: error });
    if (error instanceof Misread) throw new AlertFileError(`${place}: ${error.message}`);
    throw error;
  }
}

/** A repeated "firing" is nothing new; a "resolved" ends what fires. */
function addFrame(frame: AlertFrame, reference: number, { index, firing, within }: Reading): void {
  for (const [part, alert] of frame.alerts.entries()) {
    const key = `${frame.receiver}\n${fingerprintOf(alert)}`;
    const row = firing.get(key);
    const at = Date.parse(alert.startsAt);
    if (alert.status === "resolved") {
      if (row !== undefined) index.resolve(row, Date.parse(alert.endsAt));
      firing.delete(key);
    } else if (row === undefined && within(at)) {
      firing.set(key, index.add({ at, resolvedAt: Infinity, reference, part: part + 1 }));
    }
  }
}

function fingerprintOf({ fingerprint, labels }: Alert): string {
  return fingerprint === "" ? sha256Hex(canonicalJson(labels)) : fingerprint;
}

function* alertsOf(
  index: AlertIndex,
  reader: AlertReader,
): Generator<PastAlert | Promise<PastAlert>> {
  for (const { at, resolvedAt, reference, part } of index.read()) {
    const rest = reader.read(reference, part);
    yield rest instanceof Promise
      ? rest.then((read) => ({ ...read, at, resolvedAt }))
      : { ...rest, at, resolvedAt };
  }
}

type Rest = Omit<PastAlert, "at" | "resolvedAt">;

/** Reads alerts again, by their place in the file. */
class AlertReader {
  readonly #lines: LineReader;
  /** The alerts of one webhook are read one after the other. */
  #frame: { readonly offset: number; readonly frame: AlertFrame } | undefined;

  constructor(file: FileHandle) {
    this.#lines = new LineReader(file);
  }

  read(offset: number, part: number): Rest | Promise<Rest> {
    if (this.#frame?.offset === offset) return partOf(this.#frame.frame, part);
    const text = this.#lines.read(offset);
    return typeof text === "string"
      ? this.#restOf(text, offset, part)
      : text.then((read) => this.#restOf(read, offset, part));
  }

  #restOf(text: string, offset: number, part: number): Rest {
    if (part === 0) return alertOf(JSON.parse(text));
    const frame = frameOf(text);
    this.#frame = { offset, frame };
    return partOf(frame, part);
  }
}

function partOf({ alerts, receiver, truncatedAlerts }: AlertFrame, part: number): Rest {
  const labels = alerts[part - 1]?.labels ?? {};
  return { labels, source: receiver, truncated: truncatedAlerts > 0 };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isFrame(value: unknown): boolean {
  return isObject(value) && Object.hasOwn(value, "alerts");
}

function frameOf(text: string): AlertFrame {
  const parsed = parseFrame(Buffer.from(text));
  if (parsed.kind === "malformed") throw new Misread(`is no webhook: ${parsed.problem}`);
  return parsed.frame;
}

function alertOf(value: unknown): PastAlert {
  if (!isObject(value)) throw new Misread(`is no object; ${EXPECTED}`);
  const { at, resolvedAt, labels, source = "file", truncated = false } = value;
  if (typeof source !== "string") throw new Misread("source: must be a text");
  if (typeof truncated !== "boolean") throw new Misread("truncated: must be true or false");
  return {
    at: timeOf("at", at),
    resolvedAt:
      resolvedAt === undefined || resolvedAt === null ? Infinity : timeOf("resolvedAt", resolvedAt),
    labels: labelsOf(labels),
    source,
    truncated,
  };
}

function labelsOf(value: unknown): PastAlert["labels"] {
  if (!isObject(value)) throw new Misread(`labels: must be an object of texts; ${EXPECTED}`);
  for (const name in value)
    if (typeof value[name] !== "string")
      throw new Misread(`labels: ${JSON.stringify(name)} must be a text`);
  return value as PastAlert["labels"];
}

function timeOf(name: string, value: unknown): number {
  const time = typeof value === "string" && TIME.test(value) ? Date.parse(value) : NaN;
  if (!Number.isNaN(time)) return time;
  const got = value === undefined ? "nothing" : JSON.stringify(value).slice(0, 80);
  throw new Misread(`${name}: must be an RFC 3339 time, got ${got}`);
}
