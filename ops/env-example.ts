// `make env-example`: writes .env.example from the services' tables of variables.
import { writeFileSync } from "node:fs";
import { envSections, renderEnvExample } from "../cli/env-example.ts";

writeFileSync(new URL("../.env.example", import.meta.url), renderEnvExample(await envSections()));
