import { waitUntil } from "../fakes/fettle.ts";
import type { Answer, Hypervisor } from "./given.ts";

/** The operation that a 202 has begun, after its end. */
export async function finished(
  api: Pick<Hypervisor, "send">,
  answer: Answer,
): Promise<Answer["body"]> {
  const path = answer.headers.get("location");
  if (answer.status !== 202 || path === null)
    throw new Error(`no operation: ${answer.status} ${answer.detail}`);
  let body = answer.body;
  await waitUntil(`the end of ${path}`, async () => {
    body = (await api.send(path)).body;
    return body["ended_at"] !== null;
  });
  return body;
}
