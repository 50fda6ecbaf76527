/** What of Jest's results is used here; its own types live in a package that is not ours to depend on. */
interface FileResult {
  readonly failureMessage?: string | null;
}

interface RunResult {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly numRuntimeErrorTestSuites: number;
}

/** Quiet on success, clear on failure: the failures as they happen, one line at the end. A skipped test counts as failed. */
class Reporter {
  #error: Error | undefined;

  onTestResult(_test: unknown, { failureMessage }: FileResult): void {
    if (typeof failureMessage === "string" && failureMessage !== "")
      process.stdout.write(`${failureMessage}\n`);
  }

  onRunComplete(_contexts: unknown, result: RunResult): void {
    const skipped = result.numPendingTests + result.numTodoTests;
    const failed = result.numFailedTests + result.numRuntimeErrorTestSuites;
    process.stdout.write(
      `${result.numPassedTests} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}\n`,
    );
    if (skipped > 0)
      this.#error = new Error(
        `${skipped} tests were skipped: a test that does not run is a defect`,
      );
    if (result.numPassedTests + failed === 0) this.#error = new Error("no test ran");
  }

  getLastError(): Error | undefined {
    return this.#error;
  }
}

export default Reporter; // Jest loads a reporter's default export
