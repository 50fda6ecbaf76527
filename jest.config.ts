import type { Config } from "jest";

// Jest 30.5 strips types by itself (transform {}), and needs --experimental-vm-modules for ESM (the Makefile sets it).
const config: Config = {
  transform: {},
  extensionsToTreatAsEsm: [".ts"],
  testEnvironment: "node",
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  testPathIgnorePatterns: ["/node_modules/", "/test/soak/"], // `make soak`
  testTimeout: 300_000, // a machine may be busy with something else: no test is about this limit
  setupFilesAfterEnv: ["<rootDir>/test/setup/each-file.ts"],
  maxWorkers: 4, // most of a test is waiting for real servers
  reporters: ["<rootDir>/test/setup/reporter.ts"],
};

export default config;
