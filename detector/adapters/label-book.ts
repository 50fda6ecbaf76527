import { hasCode } from "../../lib/error.ts";
import type { Queryable } from "../../lib/postgres.ts";
import type {
  AnomalyLabel,
  LabelBook,
  LabelledAnomaly,
  LabelName,
  TrainingMask,
} from "../types/labels.ts";

interface LabelRow {
  readonly label: LabelName;
  readonly by: string;
  readonly note: string | null;
  readonly created_at: Date;
}

interface MaskRow {
  readonly metric: string;
  readonly series: string;
  readonly masked_from: Date;
  readonly masked_to: Date | number;
  readonly cause: TrainingMask["cause"];
}

interface LabelledRow {
  readonly id: string;
  readonly metric: string;
  readonly series: string;
  readonly opened_at: Date;
  readonly closed_at: Date | null;
  readonly label: LabelName;
}

/** The tables behind feedback (sql/0004_detector_service.sql). Errors of the driver come through unchanged. */
export function openLabelBook(database: Queryable): LabelBook {
  return {
    add: async (anomalyId, label) => add(database, anomalyId, label),
    list: async (anomalyId) => {
      const { rows } = await database.query<LabelRow>(
        "SELECT label, by, note, created_at FROM aiops_labels WHERE anomaly_id = $1 ORDER BY id LIMIT 100",
        [anomalyId],
      );
      return rows.map(labelOf);
    },
    masks: async ({ from, to }) => {
      const { rows } = await database.query<MaskRow>(
        `SELECT metric, series, masked_from, masked_to, cause FROM aiops_training_masks
         WHERE masked_from <= $2 AND masked_to >= $1 ORDER BY metric, series, masked_from`,
        [from, to],
      );
      return rows.map(maskOf);
    },
    labelled: async ({ from, to }) => {
      const { rows } = await database.query<LabelledRow>(
        `SELECT a.id, a.metric, a.series, a.opened_at, a.closed_at, said.label FROM aiops_anomalies a
         CROSS JOIN LATERAL (
           SELECT label FROM aiops_labels WHERE anomaly_id = a.id ORDER BY id DESC LIMIT 1
         ) said
         WHERE a.opened_at BETWEEN $1 AND $2 ORDER BY a.opened_at DESC, a.id LIMIT 10000`,
        [from, to],
      );
      return rows.map(labelledOf);
    },
  };
}

async function add(
  database: Queryable,
  anomalyId: string,
  { label, by, note }: Omit<AnomalyLabel, "at">,
): Promise<AnomalyLabel | "unknown_anomaly"> {
  try {
    const { rows } = await database.query<LabelRow>(
      `INSERT INTO aiops_labels (anomaly_id, label, by, note) VALUES ($1, $2, $3, $4)
       RETURNING label, by, note, created_at`,
      [anomalyId, label, by, note ?? null],
    );
    return rows[0] === undefined ? "unknown_anomaly" : labelOf(rows[0]);
  } catch (error) {
    if (hasCode(error, "23503")) return "unknown_anomaly"; // foreign key
    throw error;
  }
}

function labelOf({ label, by, note, created_at: at }: LabelRow): AnomalyLabel {
  return { label, by, note: note ?? undefined, at: at.getTime() };
}

function labelledOf({ opened_at, closed_at, ...rest }: LabelledRow): LabelledAnomaly {
  return { ...rest, openedAt: opened_at.getTime(), closedAt: closed_at?.getTime() };
}

/** The driver gives `infinity` as the number. */
function maskOf({ masked_from: from, masked_to: to, ...rest }: MaskRow): TrainingMask {
  return { ...rest, from: from.getTime(), to: typeof to === "number" ? to : to.getTime() };
}
