// Run by Jest before every test file: without the servers each test would fail in its own obscure way.
import { fromRun } from "../servers/unprivileged.ts";

fromRun("FETTLE_TEST_POSTGRES_URL");
