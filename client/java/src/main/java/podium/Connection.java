package podium;

import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import podium.v1.RecordingServiceGrpc;
import podium.v1.ResultsServiceGrpc;

/** A channel to a server: how it behaves, and what its failures mean. */
final class Connection implements AutoCloseable {
  private static final String DEFAULT_ADDRESS = "localhost:50051";
  private static final Pattern ADDRESS =
      Pattern.compile(
          "unix:.+|(?:(?:dns|ipv4|ipv6):/*)?(?:\\[[^\\]\\s]+\\]|[^:/\\s\\[\\]]+):[0-9]{1,5}");

  /** What was recorded in a message of 4 MiB comes back with times and revisions. */
  private static final int LARGEST_RESPONSE = 16 << 20;

  /** Reads are safe to repeat; a write may have been stored when its answer is lost. */
  private static final Map<String, ?> RETRIES =
      Map.of(
          "methodConfig",
          List.of(
              Map.of(
                  "name",
                  List.of(Map.of("service", ResultsServiceGrpc.SERVICE_NAME)),
                  "retryPolicy",
                  Map.of(
                      "maxAttempts",
                      5.0,
                      "initialBackoff",
                      "0.1s",
                      "maxBackoff",
                      "1s",
                      "backoffMultiplier",
                      2.0,
                      "retryableStatusCodes",
                      List.of("UNAVAILABLE")))));

  private final String address;
  private final Duration readTimeout;
  private final Duration writeTimeout;
  private final ManagedChannel channel;
  private volatile boolean closed;

  Connection(String address, Duration readTimeout, Duration writeTimeout) {
    this.address = checked(address);
    this.readTimeout = checked(readTimeout);
    this.writeTimeout = checked(writeTimeout);
    this.channel =
        Grpc.newChannelBuilder(address, InsecureChannelCredentials.create())
            .defaultServiceConfig(RETRIES)
            .disableServiceConfigLookUp()
            .enableRetry()
            // Notices a server that vanished without a word.
            .keepAliveTime(30, TimeUnit.SECONDS)
            .keepAliveTimeout(10, TimeUnit.SECONDS)
            .keepAliveWithoutCalls(true)
            .maxInboundMessageSize(LARGEST_RESPONSE)
            .build();
  }

  static String defaultAddress() {
    String address = System.getenv("PODIUM_ADDRESS");
    return address == null || address.isEmpty() ? DEFAULT_ADDRESS : address;
  }

  private static String checked(String address) {
    if (!ADDRESS.matcher(address).matches()) {
      throw new IllegalArgumentException(
          "an address is HOST:PORT or unix:PATH, not '" + address + "'");
    }
    return address;
  }

  private static Duration checked(Duration timeout) {
    if (timeout.isNegative() || timeout.isZero()) {
      throw new IllegalArgumentException("a timeout must be positive, not " + timeout);
    }
    return timeout;
  }

  <Q extends Message, R extends Message> R call(MethodDescriptor<Q, R> method, Q request) {
    if (closed) {
      throw new IllegalStateException("this client is closed; make a new one");
    }
    Texts.check(request);
    var options =
        CallOptions.DEFAULT.withDeadlineAfter(timeout(method).toNanos(), TimeUnit.NANOSECONDS);
    try {
      return ClientCalls.blockingUnaryCall(channel, method, options, request);
    } catch (StatusRuntimeException error) {
      throw explained(error, method);
    }
  }

  private Duration timeout(MethodDescriptor<?, ?> method) {
    return isWrite(method) ? writeTimeout : readTimeout;
  }

  private static boolean isWrite(MethodDescriptor<?, ?> method) {
    return RecordingServiceGrpc.SERVICE_NAME.equals(method.getServiceName());
  }

  /** Adds what gRPC does not say to an error that the server itself did not explain. */
  private PodiumException explained(StatusRuntimeException error, MethodDescriptor<?, ?> method) {
    var failure = Failures.read(error);
    if (failure.reason().isEmpty()) {
      failure = failure.withMessage(text(failure, method));
    }
    PodiumException explained = failure.exception();
    explained.initCause(error);
    return explained;
  }

  private String text(Failures.Failure failure, MethodDescriptor<?, ?> method) {
    return switch (failure.code()) {
      case UNAVAILABLE ->
          "no Podium server answers at %s: start one with `podium serve`, or give the right"
                  .formatted(address)
              + " address ("
              + failure.message()
              + ")"
              + unknown(method);
      case DEADLINE_EXCEEDED ->
          "%s did not answer within %s s".formatted(address, timeout(method).toMillis() / 1e3)
              + unknown(method);
      case CANCELLED -> "the call was cancelled: " + failure.message() + unknown(method);
      case UNIMPLEMENTED ->
          "%s is no Podium server, or an older one without %s"
              .formatted(address, method.getFullMethodName());
      default -> address + ": " + failure.message();
    };
  }

  private static String unknown(MethodDescriptor<?, ?> method) {
    return isWrite(method)
        ? ": whether it was stored is unknown, and it is safe to send it again"
        : "";
  }

  @Override
  public void close() {
    closed = true;
    channel.shutdownNow();
  }
}
