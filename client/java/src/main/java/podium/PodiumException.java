package podium;

import io.grpc.Status;
import java.util.List;
import java.util.Map;

/**
 * A call to Podium failed. The subclasses are the status codes that callers tell apart; a code
 * without one is a plain PodiumException.
 */
public class PodiumException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final Status.Code code;
  private final String reason;
  private final transient Map<String, String> metadata;
  private final transient List<RefusedEvent> refusals;

  PodiumException(
      Status.Code code,
      String message,
      String reason,
      Map<String, String> metadata,
      List<RefusedEvent> refusals) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.metadata = Map.copyOf(metadata);
    this.refusals = List.copyOf(refusals);
  }

  /** Returns the status code, such as {@code NOT_FOUND}. */
  public Status.Code code() {
    return code;
  }

  /**
   * Returns why exactly, such as {@code ARM_NOT_FOUND}: a name of the proto enum ErrorReason
   * without its prefix. Empty where nobody said.
   */
  public String reason() {
    return reason;
  }

  /** Returns the particulars of the reason, such as the name of the arm under {@code arm}. */
  public Map<String, String> metadata() {
    return metadata == null ? Map.of() : metadata;
  }

  /** Returns every refused event of a Record call; empty for other calls. */
  public List<RefusedEvent> refusals() {
    return refusals == null ? List.of() : refusals;
  }

  /** A field of the request is missing, malformed or out of its bounds. */
  public static final class InvalidArgument extends PodiumException {
    private static final long serialVersionUID = 1L;

    InvalidArgument(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.INVALID_ARGUMENT, message, reason, metadata, refusals);
    }
  }

  /** The experiment or the arm does not exist. */
  public static final class NotFound extends PodiumException {
    private static final long serialVersionUID = 1L;

    NotFound(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.NOT_FOUND, message, reason, metadata, refusals);
    }
  }

  /** What is recorded stands against the call, such as a newer attempt of the arm. */
  public static final class FailedPrecondition extends PodiumException {
    private static final long serialVersionUID = 1L;

    FailedPrecondition(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.FAILED_PRECONDITION, message, reason, metadata, refusals);
    }
  }

  /** What was read kept changing meanwhile; the same call may succeed a moment later. */
  public static final class Aborted extends PodiumException {
    private static final long serialVersionUID = 1L;

    Aborted(String message) {
      this(message, "", Map.of(), List.of());
    }

    Aborted(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.ABORTED, message, reason, metadata, refusals);
    }
  }

  /** Events of the stream before the first one of the call are missing. */
  public static final class OutOfRange extends PodiumException {
    private static final long serialVersionUID = 1L;

    OutOfRange(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.OUT_OF_RANGE, message, reason, metadata, refusals);
    }
  }

  /** The server has too much to do, its disk is full, or the message is too large. */
  public static final class ResourceExhausted extends PodiumException {
    private static final long serialVersionUID = 1L;

    ResourceExhausted(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.RESOURCE_EXHAUSTED, message, reason, metadata, refusals);
    }
  }

  /**
   * No server answers at the address, or it is starting or stopping. The message says so if it is
   * unknown whether a write was stored; it is safe to send it again.
   */
  public static final class Unavailable extends PodiumException {
    private static final long serialVersionUID = 1L;

    Unavailable(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.UNAVAILABLE, message, reason, metadata, refusals);
    }
  }

  /**
   * The server did not answer in time. Whether a write was stored is unknown then; it is safe to
   * send it again.
   */
  public static final class DeadlineExceeded extends PodiumException {
    private static final long serialVersionUID = 1L;

    DeadlineExceeded(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.DEADLINE_EXCEEDED, message, reason, metadata, refusals);
    }
  }
}
