package podium;

import io.grpc.Status;
import java.util.List;
import java.util.Map;

/**
 * The error of a call to Podium. There is a subclass for each status code that callers may have to
 * handle. Other codes have no subclass.
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
   * Returns the reason, such as {@code ARM_NOT_FOUND}: a name of the proto enum ErrorReason without
   * its prefix. Empty if the error has no reason.
   */
  public String reason() {
    return reason;
  }

  /** Returns details of the reason, such as the name of the arm under {@code arm}. */
  public Map<String, String> metadata() {
    return metadata == null ? Map.of() : metadata;
  }

  /** Returns every rejected event of a Record call. Empty for other calls. */
  public List<RefusedEvent> refusals() {
    return refusals == null ? List.of() : refusals;
  }

  /** A field of the request is missing, malformed or out of range. */
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

  /** The recorded state does not allow the call. For example, there is a newer attempt. */
  public static final class FailedPrecondition extends PodiumException {
    private static final long serialVersionUID = 1L;

    FailedPrecondition(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.FAILED_PRECONDITION, message, reason, metadata, refusals);
    }
  }

  /** The data changed each time while it was read. The same call may succeed later. */
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

  /** The server is overloaded, its disk is full, or the message is too large. */
  public static final class ResourceExhausted extends PodiumException {
    private static final long serialVersionUID = 1L;

    ResourceExhausted(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.RESOURCE_EXHAUSTED, message, reason, metadata, refusals);
    }
  }

  /**
   * No server answers at the address, or it is starting or stopping. If it is unknown
   * whether a write was stored, the message says so. Sending it again is safe.
   */
  public static final class Unavailable extends PodiumException {
    private static final long serialVersionUID = 1L;

    Unavailable(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.UNAVAILABLE, message, reason, metadata, refusals);
    }
  }

  /**
   * The server did not answer in time. It is unknown whether a write was stored. Sending it again
   * is safe.
   */
  public static final class DeadlineExceeded extends PodiumException {
    private static final long serialVersionUID = 1L;

    DeadlineExceeded(
        String message, String reason, Map<String, String> metadata, List<RefusedEvent> refusals) {
      super(Status.Code.DEADLINE_EXCEEDED, message, reason, metadata, refusals);
    }
  }
}
