import { LEVEL_WORDS, type Level, type LogFilter } from "./types.ts";

export interface Selection extends LogFilter {
  readonly label: string;
  readonly service: string;
}

/** The question in LogQL. What people have typed stands in it as texts only. */
export function logqlOf({ label, service, level, search }: Selection): string {
  const filters = [
    ...(level === undefined ? [] : [`|~ ${quoted(`(?i)${levelPattern(level)}`)}`]),
    ...(search === undefined ? [] : [`|= ${quoted(search)}`]),
  ];
  return [`{${label}=${quoted(service)}}`, ...filters].join(" ");
}

/** The same question to a line that is here already. */
export function matcherOf({ level, search }: LogFilter): (text: string) => boolean {
  const word = level === undefined ? undefined : new RegExp(levelPattern(level), "i");
  return (text) =>
    (word === undefined || word.test(text)) && (search === undefined || text.includes(search));
}

/** As a whole word: `stderr` is no error. Understood alike by RE2 and by JavaScript. */
function levelPattern(level: Level): string {
  return `\\b(?:${LEVEL_WORDS[level].join("|")})\\b`;
}

/** A string of Go's: what JSON writes is understood there too, when it has no halves of characters. */
function quoted(text: string): string {
  return JSON.stringify(text.toWellFormed());
}
