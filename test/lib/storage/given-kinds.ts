import type { BlobStore, StoredBlob } from "../../../lib/storage.ts";
import type { StoreFault } from "../../fakes/s3.ts";
import type { TcpProxy } from "../../fakes/tcp-proxy.ts";

export interface GivenStore {
  readonly store: BlobStore;
  readonly verifies: StoredBlob["verifiedBy"];
  readonly keepsMetadata: boolean;
  readonly links: boolean;
  /** Half-done uploads that lie about. */
  readonly leftovers?: () => number;
  /** Between the store's client and its server. */
  readonly proxy?: TcpProxy;
  /** What the server does; where the server is ours. */
  readonly setFault?: (fault: StoreFault) => void;
  /** The same server, for somebody whom it does not know. */
  readonly stranger?: BlobStore;
  /** The same server, and a bucket that it does not have. */
  readonly homeless?: BlobStore;
  /** What must stand in no message. */
  readonly credential?: string;
  readonly stop: () => Promise<void>;
}
