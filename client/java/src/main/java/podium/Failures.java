package podium;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.FileNotFoundException;
import java.net.ConnectException;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import podium.v1.Refusal;
import podium.v1.RefusalKind;
import podium.v1.Refusals;

/** Reads the status of a failed call, from any server. */
final class Failures {
  private static final String DOMAIN = "podium";

  private Failures() {}

  /**
   * The error of a failed call. Fields for which the server sent no valid details are empty.
   * retryDelay is the delay before a retry that the server asks for.
   */
  record Failure(
      io.grpc.Status.Code code,
      String message,
      String reason,
      Map<String, String> metadata,
      List<RefusedEvent> refusals,
      Duration retryDelay) {

    Failure withCode(io.grpc.Status.Code other) {
      return new Failure(other, message, reason, metadata, refusals, retryDelay);
    }

    Failure withMessage(String text) {
      return new Failure(code, text, reason, metadata, refusals, retryDelay);
    }

    PodiumException exception() {
      return switch (code) {
        case INVALID_ARGUMENT ->
            new PodiumException.InvalidArgument(message, reason, metadata, refusals);
        case NOT_FOUND -> new PodiumException.NotFound(message, reason, metadata, refusals);
        case FAILED_PRECONDITION ->
            new PodiumException.FailedPrecondition(message, reason, metadata, refusals);
        case ABORTED -> new PodiumException.Aborted(message, reason, metadata, refusals);
        case OUT_OF_RANGE -> new PodiumException.OutOfRange(message, reason, metadata, refusals);
        case RESOURCE_EXHAUSTED ->
            new PodiumException.ResourceExhausted(message, reason, metadata, refusals);
        case UNAVAILABLE -> new PodiumException.Unavailable(message, reason, metadata, refusals);
        case DEADLINE_EXCEEDED ->
            new PodiumException.DeadlineExceeded(message, reason, metadata, refusals);
        default -> new PodiumException(code, message, reason, metadata, refusals);
      };
    }
  }

  static Failure read(StatusRuntimeException error) {
    List<Any> details = details(error);
    ErrorInfo info = detail(details, ErrorInfo.class, ErrorInfo.getDefaultInstance());
    boolean ours = info.getDomain().equals(DOMAIN);
    String text = error.getStatus().getDescription();
    return new Failure(
        error.getStatus().getCode(),
        text == null ? error.getStatus().getCode().name() : text,
        ours ? info.getReason() : "",
        ours ? info.getMetadataMap() : Map.of(),
        refusals(detail(details, Refusals.class, Refusals.getDefaultInstance())),
        duration(detail(details, RetryInfo.class, RetryInfo.getDefaultInstance()).getRetryDelay()));
  }

  /** Returns whether a call was not sent, since there was no connection. */
  static boolean neverLeft(StatusRuntimeException error) {
    return Stream.<Throwable>iterate(error, Objects::nonNull, Throwable::getCause)
        .anyMatch(
            cause ->
                cause instanceof ConnectException
                    || cause instanceof UnknownHostException
                    // The socket does not exist.
                    || cause instanceof FileNotFoundException);
  }

  private static Duration duration(com.google.protobuf.Duration delay) {
    return Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
  }

  private static List<Any> details(StatusRuntimeException error) {
    var status = StatusProto.fromThrowable(error);
    return status == null ? List.of() : status.getDetailsList();
  }

  private static <T extends Message> T detail(List<Any> details, Class<T> type, T none) {
    for (Any detail : details) {
      if (detail.is(type)) {
        try {
          return detail.unpack(type);
        } catch (InvalidProtocolBufferException garbled) {
          return none;
        }
      }
    }
    return none;
  }

  private static List<RefusedEvent> refusals(Refusals message) {
    List<RefusedEvent> events = new ArrayList<>();
    for (Refusal refusal : message.getRefusalsList()) {
      // An unknown kind counts as permanent: nothing says that waiting helps.
      boolean permanent = refusal.getKind() != RefusalKind.REFUSAL_KIND_WAIT;
      for (int index : refusal.getEventIndexesList()) {
        events.add(
            new RefusedEvent(index, refusal.getReason(), permanent, refusal.getMessage()));
      }
    }
    events.sort(Comparator.comparingInt(RefusedEvent::index));
    return events;
  }
}
