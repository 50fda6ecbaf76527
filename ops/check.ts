// `npm run check:ops`, a part of `make check`: everything under ops/, .github/ and docker-compose.yml that can be checked
// without an engine that runs it. Quiet when all is well.
import { checkAddresses } from "./check/addresses.ts";
import { checkAlertmanager } from "./check/alertmanager.ts";
import { checkAlloy } from "./check/alloy/check.ts";
import { checkCollector } from "./check/collector.ts";
import { checkCompose } from "./check/compose.ts";
import { checkFalco } from "./check/falco.ts";
import { checkGenerated } from "./check/generated.ts";
import { checkKubernetes } from "./check/kubernetes.ts";
import { checkLogql } from "./check/logql.ts";
import { checkNetwork } from "./check/network.ts";
import { openTools } from "./check/programs.ts";
import { checkRules } from "./check/rules.ts";
import { checkStores } from "./check/stores.ts";
import { checkVariables } from "./check/variables.ts";
import { checkWorkflows } from "./check/workflows.ts";
import { checkYaml } from "./check/yaml.ts";

const run = openTools((line) => process.stderr.write(`check: ${line}\n`));
// First and alone: beside other work the linter's WebAssembly broke down in 2 of 19 runs, alone in none of 60.
const ofWorkflows = await checkWorkflows();
const ofOthers = await Promise.all([
  checkRules(run),
  checkAlertmanager(run),
  checkGenerated(),
  checkKubernetes(),
  checkCompose(),
  checkVariables(),
  checkNetwork(),
  checkAddresses(),
  checkCollector(),
  checkAlloy(),
  checkLogql(),
  checkFalco(),
  checkStores(),
  checkYaml(),
]);

const problems = [...ofWorkflows, ...ofOthers.flat()];
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
