// `npm run check:ops`, a part of `make check`: everything under ops/, .github/ and docker-compose.yml that can be checked
// without an engine that runs it. Quiet when all is well.
import { checkAlertmanager } from "./check/alertmanager.ts";
import { checkCompose } from "./check/compose.ts";
import { checkGenerated } from "./check/generated.ts";
import { checkKubernetes } from "./check/kubernetes.ts";
import { openTools } from "./check/programs.ts";
import { checkRules } from "./check/rules.ts";
import { checkWorkflows } from "./check/workflows.ts";
import { checkYaml } from "./check/yaml.ts";

const run = openTools((line) => process.stderr.write(`check: ${line}\n`));
const problems = await Promise.all([
  checkRules(run),
  checkAlertmanager(run),
  checkGenerated(),
  checkKubernetes(),
  checkCompose(),
  checkWorkflows(),
  checkYaml(),
]);

for (const problem of problems.flat()) process.stderr.write(`${problem}\n`);
process.exitCode = problems.flat().length === 0 ? 0 : 1;
