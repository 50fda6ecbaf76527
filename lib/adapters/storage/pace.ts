/** Until the answer's head is there, besides the time in which the content goes out. */
const ANSWER_MS = 100_000;
/** 128 kbit/s; a line that is slower is given up. */
const BYTES_PER_MS_MIN = 16;

/** So long a request with this much content may take. */
export function answerMs(bytes: number): number {
  return ANSWER_MS + bytes / BYTES_PER_MS_MIN;
}
