export interface WrappedKey {
  readonly wrapped: Buffer;
  /** The very key or version that wrapped it, for whoever opens it after a rotation. */
  readonly keyId: string;
  /** What must be given again to open it; not secret. */
  readonly context?: Readonly<Record<string, string>> | undefined;
}

/** Wraps data keys under a key that it never shows. `name` is the member of `wrapped_keys` in the envelope. */
export interface KeyWrapper {
  readonly name: string;
  /** Names the wrapping key without revealing it. */
  readonly id: string;
  wrap(dek: Buffer): Promise<WrappedKey>;
  /**
   * @param keyId what was recorded with it; not authenticated
   * @throws when the wrapped key belongs to another wrapping key or was changed
   */
  unwrap(wrapped: Buffer, keyId?: string): Promise<Buffer>;
}
