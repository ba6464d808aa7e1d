import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import { type ErrorInfo, ErrorInfoSchema, RetryInfoSchema } from "./google/rpc/error_details_pb.js";
import { RefusalKind, RefusalsSchema, type Refusal } from "./podium/v1/recording_service_pb.js";

/** One refused event of a `record` call. */
export interface RefusedEvent {
  /** The index of the event in the call, from 0. */
  readonly index: number;
  /** Why it was refused, as in `PodiumError`; empty for one that this version does not know. */
  readonly reason: string;
  /** Whether it will never be accepted as it is; else what it needs may still come. */
  readonly permanent: boolean;
  /** What was wrong with the first event refused for the reason. */
  readonly message: string;
}

/** What an error says besides its text. */
export interface ErrorParts {
  /** Why exactly. */
  readonly reason?: string;
  /** The particulars of the reason. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Every refused event. */
  readonly refusals?: readonly RefusedEvent[];
  /** What it was made of. */
  readonly cause?: unknown;
}

/** A call to Podium failed. */
export class PodiumError extends Error {
  /** The name of the class. */
  override readonly name = "PodiumError";
  /** The name of the canonical gRPC status code, such as `NOT_FOUND`. */
  readonly code: string;
  /**
   * Why exactly, such as `STALE_ATTEMPT`: a name of the enum ErrorReason without its prefix. Empty
   * where nobody said.
   */
  readonly reason: string;
  /** The particulars of the reason, such as `{ arm: "lora_rank4" }`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Every refused event of a `record` call; empty for other calls. */
  readonly refusals: readonly RefusedEvent[];

  /** An error that says all this. */
  constructor(code: string, message: string, parts: ErrorParts = {}) {
    super(message, { cause: parts.cause });
    this.code = code;
    this.reason = parts.reason ?? "";
    this.metadata = parts.metadata ?? {};
    this.refusals = parts.refusals ?? [];
  }
}

const errorDomain = "podium";

/** What the error of a write says that may have been stored. */
export const outcomeUnknown = ": whether it was stored is unknown, and it is safe to send it again";

/**
 * Reads the error of a failed call, whoever wrote it. Details that are missing or are not
 * Podium's leave fields empty.
 *
 * @param maybeStored Whether the call, or an earlier attempt at it, may have been stored.
 */
export function fromCall(error: ConnectError, address: string, maybeStored: boolean): PodiumError {
  const info = podiumInfo(error);
  const [refusals] = error.findDetails(RefusalsSchema);
  const text = info === undefined ? described(error, address) : error.rawMessage;
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

const busy = new Set(["OVERLOADED", "QUOTA_EXCEEDED"]);

/**
 * Returns whether the server, or this client's token, has too much to do: the server refused the call
 * and changed nothing.
 */
export function isOverloaded(error: ConnectError): boolean {
  return error.code === Code.ResourceExhausted && busy.has(reasonOf(error));
}

/** Returns how long the server asks to wait before the call is made again; 0 if it does not. */
export function retryDelayMs(error: ConnectError): number {
  const [info] = error.findDetails(RetryInfoSchema);
  return info?.retryDelay === undefined ? 0 : durationMs(info.retryDelay);
}

// Codes of the system, such as ECONNRESET, and Node's own of streams that are gone. Others, such as
// ERR_INVALID_CHAR, are about what was to be sent.
const lost =
  /^(?:E[A-Z]+|ERR_STREAM_(?:DESTROYED|PREMATURE_CLOSE|WRITE_AFTER_END)|ERR_HTTP2_(?:GOAWAY_SESSION|INVALID_SESSION|INVALID_STREAM|SESSION_ERROR|STREAM_CANCEL|STREAM_ERROR))$/;

// Codes of a certificate that is not accepted, of other TLS failures, and of files without PEM.
const insecure = /^(?:ERR_(?:TLS|SSL|OSSL)_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;

/** Returns whether a call failed since its connection was lost or never there. */
export function isLost(error: ConnectError): boolean {
  const isLate = error.code === Code.DeadlineExceeded;
  return !isLate && (isInsecure(error) || nodeErrors(error).some(({ code }) => lost.test(code ?? "")));
}

function isInsecure(error: ConnectError): boolean {
  return nodeErrors(error).some(({ code }) => insecure.test(code ?? ""));
}

/** Returns whether a call was not even sent: there was no connection to send it over. */
export function neverLeft(error: ConnectError): boolean {
  return nodeErrors(error).some(({ syscall }) => /^(?:connect|getaddrinfo)$/.test(syscall ?? ""));
}

/** Node's own errors among the causes of an error. Each has a code, such as `ECONNREFUSED`. */
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

/** Says what gRPC does not, of an error that the server itself did not explain. */
function described(error: ConnectError, address: string): string {
  switch (error.code) {
    case Code.Unavailable:
      if (isInsecure(error)) {
        return `no encrypted connection to ${address}: ${error.rawMessage}`;
      }
      return (
        `no Podium server answers at ${address}: start one with \`podium serve\`, ` +
        `or give the right address (${error.rawMessage})`
      );
    case Code.DeadlineExceeded:
      return `${address} did not answer in time`;
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
    // A kind that this version does not know promises nothing: waiting is no answer to it.
    permanent: refusal.kind !== RefusalKind.WAIT,
    message: refusal.message,
  };
  return refusal.eventIndexes.map((index) => ({ index, ...shared }));
}

function byIndex(a: RefusedEvent, b: RefusedEvent): number {
  return a.index - b.index;
}

/** The canonical name of a code: Connect's own are in another spelling. */
function codeName(code: Code): string {
  if (code === Code.Canceled) {
    return "CANCELLED";
  }
  return (Code[code] ?? "Unknown").replace(/(?<=.)(?=[A-Z])/g, "_").toUpperCase();
}
