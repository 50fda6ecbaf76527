import { randomUUID } from "node:crypto";
import type Docker from "dockerode";

/** Marks a terminal's processes: what they start inherits it. */
export const MARK = "FETTLE_TERMINAL";

export function newMark(): string {
  return randomUUID();
}

/** Asks first, as a closed terminal does, and does not wait for ever. */
const SCRIPT = `each() { for p in /proc/[0-9]*; do
  grep -qs "$1" "$p/environ" && kill "$2" "\${p#/proc/}" 2>/dev/null
done; true; }
each "$1" -HUP; sleep 1; each "$1" -KILL`;

/**
 * Ends what runs in a terminal that was hung up. The engines do not: their command goes on without anybody who could see it.
 * Needs `sh`, `grep` and `kill` in the container; where there are none, there was no shell to leave behind either.
 */
export async function hangUp(container: Docker.Container, mark: string): Promise<void> {
  const exec = await container.exec({ Cmd: ["sh", "-c", SCRIPT, "sh", `${MARK}=${mark}`] });
  const answer = await exec.start({ Detach: true });
  answer.resume(); // empty; unread it would keep its connection
}
