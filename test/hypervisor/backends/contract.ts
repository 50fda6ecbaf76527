import { afterAll, beforeAll, describe } from "@jest/globals";
import { containersContract } from "./contract/containers.ts";
import { exportsContract } from "./contract/exports.ts";
import { limitsContract } from "./contract/limits.ts";
import { missingContract } from "./contract/missing.ts";
import {
  clustersContract,
  interfacesContract,
  poolsContract,
  resourcesContract,
} from "./contract/resources.ts";
import { snapshotsContract } from "./contract/snapshots.ts";
import { streamsContract } from "./contract/streams.ts";
import { LIMIT_MS, subjectOf, type Given, type Subject } from "./contract/subject.ts";

/**
 * What every backend must do, whatever it is made of.
 *
 * @param without the verbs that this one does not have, in the order of contract/missing.ts
 * @param more registers tests of its own, on the same server
 */
// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function backendContract(
  name: string,
  without: readonly string[],
  start: () => Promise<Given>,
  more?: (subject: Subject) => void,
): void {
  describe(`the ${name} backend`, () => {
    let given: Given | undefined;
    beforeAll(async () => {
      given = await start();
    }, LIMIT_MS);
    afterAll(async () => {
      await given?.backend.close();
      await given?.stop();
    }, LIMIT_MS);

    const subject = subjectOf(() => {
      if (given === undefined) throw new Error("the engine did not start");
      return given;
    });
    containersContract(subject);
    snapshotsContract(subject);
    exportsContract(subject);
    streamsContract(subject);
    resourcesContract(subject);
    missingContract(subject, without);
    if (!without.includes("containers.update")) limitsContract(subject);
    if (!without.includes("storage.createPool")) poolsContract(subject);
    if (!without.includes("network.interfaces")) interfacesContract(subject);
    if (!without.includes("clusters.join")) clustersContract(subject);
    more?.(subject);
  });
}
