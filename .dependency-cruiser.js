// The import rules of docs/architecture.md. `make check` runs them; test/ops/checks.test.ts plants violations
// and sees that each is found.
const SERVICES = "detector|runbooks|exporter|hypervisor";
const STAGES =
  "(query|features|forest|explain|publish|authenticate|parse|store|match|collect|decide|guard|approve|approval|execute|verify|read|csv|pgp|envelope|upload|retain)";

function rule(name, from, to) {
  return { name, severity: "error", from, to };
}

export default {
  forbidden: [
    rule("no-cycles", {}, { circular: true }),
    rule("lib-knows-no-service", { path: "^lib/" }, { path: `^(${SERVICES}|cli|test)/` }),
    rule(
      "services-never-meet",
      { path: `^(${SERVICES})/` },
      { path: `^(${SERVICES}|cli)/`, pathNot: "^$1/" },
    ),
    rule(
      "stages-never-meet",
      // A stage may be one file, or a folder whose files know each other.
      { path: `^(${SERVICES})/${STAGES}(\\.ts$|/)` },
      { path: `^$1/${STAGES}(\\.ts$|/)`, pathNot: "^$1/$2(\\.ts$|/)" },
    ),
    // steps/step.ts is what steps have in common.
    rule(
      "steps-never-meet",
      { path: `^(${SERVICES})/steps/` },
      { path: "^$1/steps/", pathNot: "/step\\.ts$" },
    ),
    // workbench.ts is the object graph of a service's one-shot commands, as service.ts is that of the running service.
    rule(
      "only-service-sees-adapters",
      { path: `^(${SERVICES})/(?!(service|workbench)\\.ts$|adapters/)` },
      { path: "/adapters/" },
    ),
    rule(
      "only-main-imports-service",
      { path: `^(${SERVICES})/(?!main\\.ts$)` },
      { path: `^(${SERVICES})/(service|workbench|main)\\.ts$` },
    ),
    rule(
      "cli-sees-only-main",
      { path: "^cli/" },
      { path: `^(${SERVICES})/`, pathNot: "/main\\.ts$" },
    ),
    rule(
      "vendors-live-in-adapters",
      { path: `^(cli|lib|${SERVICES})/(?!adapters/)` },
      {
        path: "node_modules/(@aws-sdk|@google-cloud|@azure|@slack|@kubernetes|ssh2-sftp-client|ioredis|nodemailer)",
      },
    ),
    rule("nothing-imports-tests", { pathNot: "^test/" }, { path: "^test/" }),
    rule(
      "no-dev-deps-in-production",
      { pathNot: "^(test|ops)/|\\.config\\.(js|ts)$" },
      { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    ),
    rule("nothing-unresolved", {}, { couldNotResolve: true }),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"],
    },
  },
};
