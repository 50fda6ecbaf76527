import { readFile } from "node:fs/promises";
import type { KmsConfig } from "../../envelope/config-kms.ts";
import type { KeyWrapper } from "../../envelope/types.ts";
import { awsKmsWrapper } from "./aws.ts";
import { azureKeyWrapper } from "./azure.ts";
import { gcpKmsWrapper } from "./gcp.ts";
import { localKeyWrapper } from "./local.ts";

/** Every wrapping key that is configured. A cloud's library is loaded when it is first asked. */
export async function openWrappers(config: KmsConfig): Promise<readonly KeyWrapper[]> {
  const { localKeyFile, awsKmsKeyId, gcpKmsKey, azureKeyId } = config;
  const wrappers: KeyWrapper[] = [];
  if (localKeyFile !== undefined) wrappers.push(await localKeyWrapper(localKeyFile));
  if (awsKmsKeyId !== undefined) {
    const { awsRegion: region, awsKmsEndpoint: endpoint, awsKmsContext: context } = config;
    wrappers.push(awsKmsWrapper({ keyId: awsKmsKeyId, region, endpoint, context }));
  }
  if (gcpKmsKey !== undefined) {
    wrappers.push(gcpKmsWrapper({ keyName: gcpKmsKey, endpoint: config.gcpKmsEndpoint }));
  }
  if (azureKeyId !== undefined) {
    const { azureCaFile: ca } = config;
    wrappers.push(
      azureKeyWrapper({
        keyId: azureKeyId,
        tenantId: config.azureTenantId,
        clientId: config.azureClientId,
        clientSecret: config.azureClientSecret,
        standInCa: ca === undefined ? undefined : await readFile(ca, "utf8"),
      }),
    );
  }
  return wrappers;
}
