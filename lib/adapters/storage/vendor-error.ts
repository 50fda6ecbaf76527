import { codeOf, messageOf } from "../../error.ts";
import { StorageError } from "../../storage.ts";

/** What the SDKs' errors have in common, under different names. */
interface VendorError {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly statusCode?: unknown;
  readonly status?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly response?: { readonly status?: unknown };
}

/** The store's HTTP status; undefined without an answer. */
export function statusOf(error: unknown): number | undefined {
  const { statusCode, status, code, $metadata, response } = error as VendorError;
  return [statusCode, $metadata?.httpStatusCode, status, response?.status, code]
    .map((value) => (typeof value === "string" && /^\d{3}$/.test(value) ? Number(value) : value))
    .find((value): value is number => typeof value === "number" && value >= 100 && value < 600);
}

/** By which the stores say that the bytes are not those of the checksum; "contentMD5" is of Azure's emulator. */
const CORRUPT =
  /BadDigest|XAmzContentSHA256Mismatch|InvalidDigest|Md5Mismatch|contentMD5|FILE_NO_UPLOAD|CONTENT_DOWNLOAD_MISMATCH|checksum/i;
/** Azure's codes of a blob under an immutability policy or a legal hold: with 409, which is a passing one otherwise. */
const HELD = /BlobImmutableDueTo/i;
const MESSAGE_MAX = 300;

/** A failure of a service that is spoken to without an SDK: its kind is known already. The message holds no secret. */
export class ServiceFailure extends Error {
  override readonly name = "ServiceFailure";
  readonly kind: StorageError["kind"];
  /** HTTP; undefined without an answer. */
  readonly status: number | undefined;
  /** The service's own word for what is wrong, to be told apart by; may be empty. */
  readonly code: string;
  /** How long it wants to be left alone. */
  readonly waitMs: number | undefined;
  /** See {@link StorageError.later}. */
  readonly later: boolean;

  constructor(
    kind: StorageError["kind"],
    message: string,
    details: Partial<Pick<ServiceFailure, "status" | "code" | "waitMs" | "later">> = {},
  ) {
    super(message);
    this.kind = kind;
    this.status = details.status;
    this.code = details.code ?? "";
    this.waitMs = details.waitMs;
    this.later = details.later ?? false;
  }
}

/**
 * Any failure of a vendor's SDK in our words.
 *
 * @param what for people, such as `s3://bucket: cannot put runs/x.tar.gz`
 */
export function storageError(what: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  if (error instanceof ServiceFailure)
    return new StorageError(error.kind, what, error.message.slice(0, MESSAGE_MAX), error.later);
  const status = statusOf(error);
  const { name } = error as VendorError;
  const words = [typeof name === "string" && name !== "Error" ? name : "", codeOf(error)];
  const text = [status ?? "no answer", ...words, messageOf(error)].filter((word) => word !== "");
  return new StorageError(
    kindOf(status, text.join(" ")),
    what,
    text.join(" ").slice(0, MESSAGE_MAX),
  );
}

function kindOf(status: number | undefined, text: string): StorageError["kind"] {
  if (CORRUPT.test(text)) return "corrupt";
  if (HELD.test(text)) return "refused";
  if (status === 412 || (status === 409 && /AlreadyExists/.test(text))) return "exists";
  if (status === 501) return "refused"; // it will not learn it
  if (status === undefined || status >= 500 || status < 400) return "unavailable";
  return [408, 409, 429].includes(status) ? "unavailable" : "refused";
}
