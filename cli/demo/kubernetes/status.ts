import { RESOURCES } from "./resources.ts";
import type { Answer, Target } from "./types.ts";

/** A failure that is answered as a Kubernetes `Status`; the texts were recorded from a real API server (1.20). */
export class StatusError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(
    code: number,
    reason: string,
    message: string,
    details?: Readonly<Record<string, unknown>>,
  ) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  get answer(): Answer {
    const { code, reason, message, details } = this;
    const shown = details === undefined ? {} : { details };
    return {
      status: code,
      body: { ...STATUS, status: "Failure", message, reason, ...shown, code },
    };
  }
}

const STATUS = { kind: "Status", apiVersion: "v1", metadata: {} };

/** What a successful eviction is answered with. */
export const CREATED: Answer = {
  status: 201,
  body: { ...STATUS, status: "Success", code: 201 },
};

export function unauthorized(): StatusError {
  return new StatusError(401, "Unauthorized", "Unauthorized"); // the only one without details
}

export function forbidden(target: Target, user: string, verb: string): StatusError {
  const { resource, subresource, group, namespace } = target;
  const what = subresource === undefined ? resource : `${resource}/${subresource}`;
  const where =
    namespace === undefined ? "at the cluster scope" : `in the namespace "${namespace}"`;
  return new StatusError(
    403,
    "Forbidden",
    `${subject(target)} is forbidden: User "${user}" cannot ${verb} resource "${what}" in API group "${group}" ${where}`,
    details(target, resource),
  );
}

export function notFound(target: Target): StatusError {
  const message = `${subject(target)} not found`;
  return new StatusError(404, "NotFound", message, details(target, target.resource));
}

export function methodNotAllowed(): StatusError {
  const message = "the server does not allow this method on the requested resource";
  return new StatusError(405, "MethodNotAllowed", message, {});
}

export function unsupportedMediaType(): StatusError {
  return new StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {});
}

export function badRequest(message: string): StatusError {
  return new StatusError(400, "BadRequest", message);
}

export function alreadyExists(target: Target): StatusError {
  const message = `${subject(target)} already exists`;
  return new StatusError(409, "AlreadyExists", message, details(target, target.resource));
}

/** The resourceVersion in the request is not the stored one. */
export function modified(target: Target): StatusError {
  const why =
    "the object has been modified; please apply your changes to the latest version and try again";
  return conflict(target, subject(target), why);
}

/** metadata.uid in a patch names an object that is gone, although a new one has its name. */
export function otherUid(target: Target, wanted: string, stored: string): StatusError {
  const why = `Precondition failed: UID in precondition: ${wanted}, UID in object meta: ${stored}`;
  return conflict(target, subject(target), why);
}

/** The same for an eviction or a deletion, in other words. */
export function otherPod(target: Target, wanted: string, stored: string): StatusError {
  const why =
    `the UID in the precondition (${wanted}) does not match the UID in record (${stored}). ` +
    "The object might have been deleted and then recreated";
  const message = `Operation cannot be fulfilled on Pod "${target.name ?? ""}": ${why}`;
  return new StatusError(409, "Conflict", message, { name: target.name, kind: "Pod" });
}

/** One invalid field. `causeReason` is FieldValueRequired or FieldValueInvalid. */
export function invalid(
  target: Target,
  field: string,
  causeReason: "FieldValueRequired" | "FieldValueInvalid",
  message: string,
): StatusError {
  const isScale = target.subresource === "scale";
  const group = isScale ? "autoscaling" : target.group;
  const kind = isScale ? "Scale" : RESOURCES[target.resource].kind;
  const named = group === "" ? kind : `${kind}.${group}`;
  return new StatusError(
    422,
    "Invalid",
    `${named} "${target.name ?? ""}" is invalid: ${field}: ${message}`,
    { ...details({ ...target, group }, kind), causes: [{ reason: causeReason, message, field }] },
  );
}

function conflict(target: Target, named: string, why: string): StatusError {
  const message = `Operation cannot be fulfilled on ${named}: ${why}`;
  return new StatusError(409, "Conflict", message, details(target, target.resource));
}

/** `deployments.apps "web"`; the core group has no suffix, a list no name. */
function subject({ resource, group, name }: Target): string {
  const kind = group === "" ? resource : `${resource}.${group}`;
  return name === undefined ? kind : `${kind} "${name}"`;
}

function details(
  { name, group }: { readonly name?: string; readonly group: string },
  kind: string,
): Readonly<Record<string, unknown>> {
  return {
    ...(name === undefined ? {} : { name }),
    ...(group === "" ? {} : { group }),
    kind,
  };
}
