import { afterEach, expect, jest, test } from "@jest/globals";
import { withProgress } from "../../cli/progress.ts";

const written: string[] = [];
const terminal = { ...describeOutput() };

afterEach(() => {
  jest.restoreAllMocks();
  Object.assign(process.stdout, terminal);
  written.length = 0;
});

function describeOutput() {
  const { isTTY } = process.stdout;
  return { isTTY };
}

/** What stands on stdout, which passes for a terminal or not. */
function onTerminal(isTTY: boolean): void {
  Object.assign(process.stdout, { isTTY });
  jest.spyOn(process.stdout, "write").mockImplementation((chunk) => {
    written.push(String(chunk));
    return true;
  });
}

const work = async (report: (text: string) => void) => {
  report("build: 12 rows");
  return Promise.resolve("the result");
};

test("on a terminal a piece of work shows its title and how far it is, and gives its result", async () => {
  onTerminal(true);

  const result = await withProgress("Exporting", { terminal: true, quiet: false }, work);

  expect(result).toBe("the result");
  expect(written.join("")).toContain("Exporting");
});

test.each([
  ["without a terminal", { terminal: false, quiet: false }],
  ["when it is to be quiet", { terminal: true, quiet: true }],
])("%s nothing is written but the result", async (_when, how) => {
  onTerminal(how.terminal);

  expect(await withProgress("Exporting", how, work)).toBe("the result");

  expect(written).toEqual([]);
});

test("a failure comes through as it is", async () => {
  onTerminal(true);
  const failing = withProgress("Exporting", { terminal: true, quiet: false }, async () =>
    Promise.reject(new Error("sftp: refused")),
  );

  await expect(failing).rejects.toThrow("sftp: refused");
});
