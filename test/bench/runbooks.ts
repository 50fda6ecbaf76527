// make bench T=runbooks
// What the runbooks service bears: it runs in processes of its own, on a PostgreSQL of its own, beside its senders.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { measureBreaker } from "./runbooks/breaker.ts";
import { measureClicks } from "./runbooks/clicks.ts";
import { measureAcks, measureStorms } from "./runbooks/intake.ts";
import { measureTakeover } from "./runbooks/takeover.ts";

const MEASURES = {
  acks: measureAcks,
  storms: measureStorms,
  clicks: measureClicks,
  breaker: measureBreaker,
  takeover: measureTakeover,
  // In a process of its own, so that its memory is its own as well.
  backtest: () => {
    const path = fileURLToPath(new URL("runbooks/backtest.ts", import.meta.url));
    execFileSync(process.execPath, ["--expose-gc", path], { stdio: "inherit" });
  },
};

const wanted = process.argv.slice(2);
for (const [name, measure] of Object.entries(MEASURES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  process.stdout.write(
    `\n# ops/test/services run -- node --expose-gc test/bench/runbooks.ts ${name}\n`,
  );
  await measure();
}
