import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import { type ErrorInfo, ErrorInfoSchema, RetryInfoSchema } from "./google/rpc/error_details_pb.js";
import { RefusalKind, RefusalsSchema, type Refusal } from "./podium/v1/recording_service_pb.js";

/** A rejected event of a `record` call. */
export interface RefusedEvent {
  /** The index of the event in the call, from 0. */
  readonly index: number;
  /** The reason, as in `PodiumError`. Empty if this version does not know it. */
  readonly reason: string;
  /** Whether the event will never be accepted. Otherwise it waits for something that does not exist yet. */
  readonly permanent: boolean;
  /** The error text of the first event that was rejected for this reason. */
  readonly message: string;
}

/** The fields of an error besides its text. */
export interface ErrorParts {
  /** The reason of the error. */
  readonly reason?: string;
  /** Details of the reason. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Every rejected event. */
  readonly refusals?: readonly RefusedEvent[];
  /** The error that caused it. */
  readonly cause?: unknown;
}

/** The error of a call to Podium. */
export class PodiumError extends Error {
  /** The name of the class. */
  override readonly name = "PodiumError";
  /** The name of the canonical gRPC status code, such as `NOT_FOUND`. */
  readonly code: string;
  /**
   * The reason, such as `STALE_ATTEMPT`: a name of the enum ErrorReason without its prefix. Empty if
   * the error has no reason.
   */
  readonly reason: string;
  /** Details of the reason, such as `{ arm: "lora_rank4" }`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Every rejected event of a `record` call. Empty for other calls. */
  readonly refusals: readonly RefusedEvent[];

  /** Makes an error. */
  constructor(code: string, message: string, parts: ErrorParts = {}) {
    super(message, { cause: parts.cause });
    this.code = code;
    this.reason = parts.reason ?? "";
    this.metadata = parts.metadata ?? {};
    this.refusals = parts.refusals ?? [];
  }
}

const errorDomain = "podium";

/** The end of an error text if the write may have been stored. */
export const outcomeUnknown = ": whether it was stored is unknown, and it is safe to send it again";

/**
 * Returns the error of a failed call, from any server. Fields for which the server sent no details are
 * empty.
 *
 * @param timeoutMs The time to the deadline of the call.
 * @param maybeStored Whether the call, or an earlier attempt at it, may have been stored.
 */
export function fromCall(
  error: ConnectError, address: string, timeoutMs: number, maybeStored: boolean,
): PodiumError {
  const info = podiumInfo(error);
  const [refusals] = error.findDetails(RefusalsSchema);
  const text = info === undefined ? described(error, address, timeoutMs) : error.rawMessage;
  const isUnknown =
    info !== undefined || [Code.Unavailable, Code.DeadlineExceeded, Code.Canceled].includes(error.code);
  return new PodiumError(
    codeName(error.code),
    maybeStored && isUnknown ? text + outcomeUnknown : text,
    {
      ...(info === undefined ? {} : { reason: info.reason, metadata: info.metadata }),
      refusals: refusals === undefined ? [] : refusals.refusals.flatMap(events).sort(byIndex),
      cause: error,
    },
  );
}

/** Returns the reason that the server gave for an error; empty if it gave none. */
export function reasonOf(error: ConnectError): string {
  return podiumInfo(error)?.reason ?? "";
}

const shuttingDown = "SHUTTING_DOWN";
const turnedAway = new Set(["OVERLOADED", "QUOTA_EXCEEDED", shuttingDown]);

/** Returns whether the server rejected the call before it began it: it has reached a limit, or stops. */
export function isTurnedAway(error: ConnectError): boolean {
  return turnedAway.has(reasonOf(error));
}

/** Returns whether the server cannot be reached or stops, and has not run the call. */
export function isOfServer(error: ConnectError): boolean {
  return neverLeft(error) || reasonOf(error) === shuttingDown;
}

/** Returns the delay before a retry that the server asks for, or 0. */
export function retryDelayMs(error: ConnectError): number {
  const [info] = error.findDetails(RetryInfoSchema);
  return info?.retryDelay === undefined ? 0 : durationMs(info.retryDelay);
}

// Codes of the system, such as ECONNRESET, and those of Node for closed streams. Other codes, such as
// ERR_INVALID_CHAR, mean that the request is invalid.
const lost =
  /^(?:E[A-Z]+|ERR_STREAM_(?:DESTROYED|PREMATURE_CLOSE|WRITE_AFTER_END)|ERR_HTTP2_(?:GOAWAY_SESSION|INVALID_SESSION|INVALID_STREAM|SESSION_ERROR|STREAM_CANCEL|STREAM_ERROR))$/;

// Codes of a rejected certificate, of other TLS failures, and of files without PEM.
const insecure = /^(?:ERR_(?:TLS|SSL|OSSL)_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;

/** Returns whether a call failed because the connection was lost or missing. */
export function isLost(error: ConnectError): boolean {
  const isLate = error.code === Code.DeadlineExceeded;
  return !isLate && (isInsecure(error) || nodeErrors(error).some(({ code }) => lost.test(code ?? "")));
}

function isInsecure(error: ConnectError): boolean {
  return nodeErrors(error).some(({ code }) => insecure.test(code ?? ""));
}

/** Returns whether a call was not sent, since there was no connection. */
export function neverLeft(error: ConnectError): boolean {
  return nodeErrors(error).some(({ syscall }) => /^(?:connect|getaddrinfo)$/.test(syscall ?? ""));
}

/** Returns those causes of an error that Node.js raised. Each has a code, such as `ECONNREFUSED`. */
function nodeErrors(error: unknown): NodeJS.ErrnoException[] {
  if (!(error instanceof Error)) {
    return [];
  }
  const inner = error instanceof AggregateError ? error.errors : [error.cause];
  const isNodes = typeof (error as NodeJS.ErrnoException).code === "string";
  return [...(isNodes ? [error] : []), ...inner.flatMap(nodeErrors)];
}

function podiumInfo(error: ConnectError): ErrorInfo | undefined {
  const [info] = error.findDetails(ErrorInfoSchema);
  return info?.domain === errorDomain && info.reason !== "" ? info : undefined;
}

/** Returns a text for an error that gRPC raised, rather than the server. */
function described(error: ConnectError, address: string, timeoutMs: number): string {
  switch (error.code) {
    case Code.Unavailable:
      if (isInsecure(error)) {
        return `no encrypted connection to ${address}: ${error.rawMessage}`;
      }
      if (!neverLeft(error)) {
        return `the connection to ${address} was lost during the call (${error.rawMessage})`;
      }
      return (
        `no Podium server answers at ${address}: start one with \`podium serve\`, ` +
        `or give the right address (${error.rawMessage})`
      );
    case Code.DeadlineExceeded:
      return `${address} did not answer within ${Number((timeoutMs / 1_000).toPrecision(6))} s`;
    case Code.Canceled:
      return `the call was cancelled (${error.rawMessage})`;
    case Code.Unimplemented:
      return `${address} is not a Podium server, or an older one without this call`;
    default:
      return `${address}: ${error.rawMessage}`;
  }
}

function events(refusal: Refusal): RefusedEvent[] {
  const shared = {
    reason: refusal.reason,
    // An unknown kind counts as permanent: nothing says that waiting helps.
    permanent: refusal.kind !== RefusalKind.WAIT,
    message: refusal.message,
  };
  return refusal.eventIndexes.map((index) => ({ index, ...shared }));
}

function byIndex(a: RefusedEvent, b: RefusedEvent): number {
  return a.index - b.index;
}

/** Returns the canonical name of a code. Connect spells the names differently. */
function codeName(code: Code): string {
  if (code === Code.Canceled) {
    return "CANCELLED";
  }
  return (Code[code] ?? "Unknown").replace(/(?<=.)(?=[A-Z])/g, "_").toUpperCase();
}
