import type { Letter, LetterKind } from "../types/notice.ts";
import type { RunNews } from "./compose.ts";
import { isAsked, isTold } from "./message.ts";

/** When a person is asked. */
const ASKED = "approval_pending";
/** Steps that only a channel that edits has room for. */
const STEPS: ReadonlySet<string> = new Set([
  "request",
  "reminder",
  "approval_denied",
  "collector_started",
  "collector_finished",
  "artifact_stored",
  "approved",
  "intent",
  "executed",
  "progress",
  "vote",
  "retried",
]);

/** For channels that cannot edit: a word when people are asked, and one at the end. */
export function milestonesOf(event: string): readonly LetterKind[] {
  return STEPS.has(event) ? [] : ["event"];
}

/** Whether a milestone is still news when it is sent: nobody is asked to answer what is over. */
export function stillHolds(letter: Letter, news: RunNews): boolean {
  if (letter.event === ASKED) return isAsked(news);
  return news.finishedAt !== undefined && wasTold(news);
}

/** A run of which nobody has heard, and that did nothing, ends in silence. */
export function wasTold(news: RunNews): boolean {
  return isTold(news) || news.approval !== undefined;
}
