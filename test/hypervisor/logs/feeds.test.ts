import { expect, test } from "@jest/globals";
import { createFeeds } from "../../../hypervisor/logs/feeds.ts";
import { fakeClock } from "../../fakes/clock.ts";

const store = { services: async () => Promise.resolve([]), read: async () => Promise.resolve([]) };

function given() {
  const clock = fakeClock("2026-01-01T00:00:00Z");
  const feeds = createFeeds({ store, clock, pollMs: 1_000 });
  const refusal = async (work: Promise<unknown>) =>
    work
      .then(() => "taken")
      .catch((error: unknown) => {
        const { status, detail } = error as { readonly status: number; readonly detail: string };
        return `${status} ${detail}`;
      });
  return { clock, feeds, refusal };
}

const platform = (name: string) => ({ name, organization: undefined });

test("one caller watches only so many services, and takes none of the others' places", async () => {
  const { feeds, refusal, clock } = given();
  const held = [];
  for (let i = 0; i < 20; i += 1) held.push(await feeds.take(`s${i}`, platform("eve")));

  const full = "429 One caller may watch the logs of 20 services at a time.";
  expect(await refusal(feeds.take("one-more", platform("eve")))).toBe(full);
  await feeds.take("s0", platform("eve")); // what they watch already costs nothing more
  await feeds.take("one-more", platform("ana"));
  expect(await refusal(feeds.take("one-more", platform("eve")))).toBe(full);
  // Those that were just left are still kept open for them.
  for (const { release } of held) release();
  expect(await refusal(feeds.take("another", platform("eve")))).toBe(full);
  await clock.advance(31_000);
  await feeds.take("another", platform("eve"));
  await feeds.stop();
});

test("what others still watch does not count for who has left it", async () => {
  const { feeds, refusal } = given();
  const held = [];
  for (let i = 0; i < 20; i += 1) {
    held.push(await feeds.take(`s${i}`, platform("eve")));
    await feeds.take(`s${i}`, platform("ana"));
  }
  for (const { release } of held) release();

  expect(await refusal(feeds.take("another", platform("eve")))).toBe("taken");
  expect(await refusal(feeds.take("another", platform("ana")))).toMatch(/^429 /);
  await feeds.stop();
});

test("one organization watches only so many services, however many people it has", async () => {
  const { feeds, refusal } = given();
  const person = (i: number) => ({ name: `p${Math.floor(i / 10)}`, organization: "left" });
  for (let i = 0; i < 50; i += 1) await feeds.take(`s${i}`, person(i));

  expect(await refusal(feeds.take("one-more", person(90)))).toBe(
    "429 One organization may watch the logs of 50 services at a time.",
  );
  await feeds.take("one-more", { name: "ana", organization: "right" });
  await feeds.stop();
});

test("all together watch only so many", async () => {
  const { feeds, refusal } = given();
  for (let i = 0; i < 100; i += 1) await feeds.take(`s${i}`, platform(`p${Math.floor(i / 20)}`));

  expect(await refusal(feeds.take("one-more", platform("ana")))).toBe(
    "503 100 services' logs are being watched; that is the most.",
  );
  await feeds.stop();
});
