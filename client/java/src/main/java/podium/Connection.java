package podium;

import com.google.protobuf.Message;
import io.grpc.Context;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import podium.v1.RecordingServiceGrpc;

/** Calls to a server: how long they may take, and what their failures mean. */
final class Connection implements AutoCloseable {
  private static final String DEFAULT_ADDRESS = "localhost:50051";

  private final Server server;
  private final Duration readTimeout;
  private final Duration writeTimeout;

  Connection(Server server, Duration readTimeout, Duration writeTimeout) {
    this.server = server;
    this.readTimeout = checked(readTimeout);
    this.writeTimeout = checked(writeTimeout);
  }

  static String defaultAddress() {
    String address = System.getenv("PODIUM_ADDRESS");
    return address == null || address.isEmpty() ? DEFAULT_ADDRESS : address;
  }

  private static Duration checked(Duration timeout) {
    if (timeout.isNegative() || timeout.isZero()) {
      throw new IllegalArgumentException("a timeout must be positive, not " + timeout);
    }
    return timeout;
  }

  /** The same server, with as much time for each call. */
  Connection withTimeout(Duration timeout) {
    return new Connection(server, timeout, timeout);
  }

  <Q extends Message, R extends Message> R call(MethodDescriptor<Q, R> method, Q request) {
    var channel = server.channel();
    Texts.check(request);
    var options =
        server.options().withDeadlineAfter(timeout(method).toNanos(), TimeUnit.NANOSECONDS);
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
    if (failure.code() == Status.Code.CANCELLED && !isCancelledHere()) {
      // A server that stops ends so what has just arrived.
      failure = failure.withCode(Status.Code.UNAVAILABLE);
    }
    if (failure.reason().isEmpty()) {
      failure = failure.withMessage(text(failure, method));
    }
    PodiumException explained = failure.exception();
    explained.initCause(error);
    return explained;
  }

  private boolean isCancelledHere() {
    return server.isClosed()
        || Thread.currentThread().isInterrupted()
        || Context.current().isCancelled();
  }

  private String text(Failures.Failure failure, MethodDescriptor<?, ?> method) {
    String address = server.address();
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
    server.close();
  }
}
