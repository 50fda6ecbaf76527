import { expect, test } from "@jest/globals";
import { slackTest } from "./given-slack.ts";

const world = slackTest();

test("asks with the facts and two buttons, and tells the rest of the story in the same message", async () => {
  const { setup } = world;
  world.tell();
  const run = await setup.run({ app: "checkout" });
  await setup.ask(run);
  await world.told();

  expect(world.main()).toHaveLength(1);
  const asked = world.main()[0];
  const blocks = JSON.stringify(asked?.blocks);
  for (const fact of [
    "Approval needed: shop/checkout",
    "KubePodCrashLooping",
    "z = 7.1",
    "▁▁▂█",
    "Restart the 3 pods of shop/checkout",
    "3 of 3 pods",
    "this hour",
    "<!date^",
    "<@U012AB3CD>",
    "<!subteam^S0123AB>",
    '"action_id":"fettle_approve"',
    '"action_id":"fettle_reject"',
    `https://fettle.example.com/runs/${run}`,
  ])
    expect(blocks).toContain(fact);
  expect(asked?.metadata).toMatchObject({ event_payload: { run_id: run } });

  await setup.move(run, "approved", { by: "ana" });
  await setup.move(run, "verifying", { event: "executed" });
  await setup.move(run, "succeeded", { outcome: "the alert resolved", event: "verified" });
  await world.told();

  expect(world.main()).toHaveLength(1);
  const end = JSON.stringify(world.main()[0]?.blocks);
  expect(end).toContain("Helped: the alert resolved");
  expect(end).not.toContain("fettle_approve");
  expect(world.lines()).toEqual([
    expect.stringContaining("approved by ana"),
    expect.stringContaining("executed by fettle"),
    expect.stringContaining("verified by fettle: the alert resolved"),
  ]);
});

test("says where the buttons are, so that a click from elsewhere can be refused", async () => {
  const run = await world.setup.run();
  world.tell();
  await world.setup.ask(run);
  await world.told();

  const { rows } = await world.database.query(
    "SELECT channel, message_ts FROM approvals WHERE run_id = $1",
    [run],
  );
  expect(rows).toEqual([{ channel: "C0FETTLE", message_ts: world.main()[0]?.ts }]);
});

test("marks a dry run", async () => {
  const run = await world.setup.run({ dryRun: true });
  world.tell();
  await world.setup.ask(run);
  await world.told();

  expect(JSON.stringify(world.main()[0]?.blocks)).toContain("*DRY-RUN* – nothing will change");
});

test("says nothing about a run that ended before anything was asked or done", async () => {
  const run = await world.setup.run();
  world.tell();
  await world.setup.move(run, "skipped_no_policy", { outcome: "no rule" });
  await world.told();

  expect(world.slack.messages).toEqual([]);
});

test("reminds once at half time, in the thread, and not when it is decided by then", async () => {
  const { setup } = world;
  world.tell();
  const [waits, decided] = [await setup.run(), await setup.run()];
  await setup.ask(waits, 8);
  await setup.ask(decided, 8);
  await world.told();
  await setup.move(decided, "rejected", { by: "ana" });

  await world.until("the reminder", () =>
    world.lines().some((line) => line.startsWith("Reminder")),
  );
  await world.told();

  expect(world.lines().filter((line) => line.startsWith("Reminder"))).toHaveLength(1);
});

test("shows five of many runs that wait, counts the rest in one line, and shows the next when one is decided", async () => {
  const { setup } = world;
  const runs = await Promise.all(Array.from({ length: 8 }, async () => setup.run()));
  for (const run of runs) await setup.ask(run);
  world.tell();
  const digest = () => world.main().find(({ text }) => text.includes("wait for an approval"));

  await world.until("the digest", () => digest() !== undefined);

  expect(digest()?.text).toContain("8 runs wait for an approval, 5 of them are shown here");
  expect(world.main()).toHaveLength(6);

  await setup.move(runs[0] ?? "", "rejected", { by: "ana" });
  await world.until("the next one", () => world.main().length === 7);
  await world.until("the digest to count again", () => digest()?.text.includes("7 runs") === true);
});

test("lets a few of many skipped runs stand for all, and does not keep a question waiting behind them", async () => {
  const { setup } = world;
  for (let n = 0; n < 9; n += 1)
    await setup.move(await setup.run(), "skipped_circuit", { outcome: "the breaker is open" });
  await setup.ask(await setup.run({ app: "asked" }));

  world.tell();
  await world.told();

  expect(world.main().filter(({ text }) => text.includes("breaker"))).toHaveLength(5);
  expect(world.main().filter(({ text }) => text.includes("shop/asked"))).toHaveLength(1);
});

test("counts the pods while an action goes from one to the next", async () => {
  const { setup, database } = world;
  const run = await setup.run({ app: "counted" });
  const pods = [1, 2, 3].map((at) => ({ name: `pod-${at}`, uid: `uid-${at}` }));
  await database.query(
    "UPDATE runs SET plan = jsonb_set(plan, '{effect}', $2::jsonb), progress = $3 WHERE id = $1",
    [
      run,
      JSON.stringify({ kind: "evict", pods, batch: 1 }),
      JSON.stringify({ evicted: ["uid-1"] }),
    ],
  );
  world.tell();
  await setup.ask(run);
  await setup.move(run, "approved", { by: "ana" });
  await setup.move(run, "intent", { event: "progress" });
  await world.told();

  expect(JSON.stringify(world.main()[0]?.blocks)).toContain("executing 1/3");
});
