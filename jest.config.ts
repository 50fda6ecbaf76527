import type { Config } from "jest";

// Jest 30.5 strips types by itself (transform {}), and needs --experimental-vm-modules for ESM (the Makefile sets it).
const config: Config = {
  transform: {},
  extensionsToTreatAsEsm: [".ts"],
  testEnvironment: "node",
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  testTimeout: 30_000,
  globalSetup: "<rootDir>/test/setup/start-servers.ts",
  globalTeardown: "<rootDir>/test/setup/stop-servers.ts",
  setupFilesAfterEnv: ["<rootDir>/test/setup/each-file.ts"],
  maxWorkers: 2,
};

export default config;
