package podium;

import com.google.protobuf.Message;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.math.BigDecimal;
import java.time.Duration;
import java.util.Iterator;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import podium.v1.RecordRequest;

/** Makes calls to a server, with deadlines, retries and errors. */
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
    String address = Environment.variable("PODIUM_ADDRESS");
    return address.isEmpty() ? DEFAULT_ADDRESS : address;
  }

  private static Duration checked(Duration timeout) {
    if (timeout.isNegative() || timeout.isZero()) {
      throw new IllegalArgumentException("a timeout must be positive, not " + timeout);
    }
    return timeout;
  }

  /** Returns a connection to the same server with another deadline. */
  Connection withTimeout(Duration timeout) {
    return new Connection(server, timeout, timeout);
  }

  <Q extends Message, R extends Message> R call(MethodDescriptor<Q, R> method, Q request) {
    Texts.check(request);
    var deadline = Deadline.after(timeout(method).toNanos(), TimeUnit.NANOSECONDS);
    try {
      return repeated(method, request, deadline);
    } catch (StatusRuntimeException error) {
      throw explained(error, method);
    }
  }

  /** Makes attempts until one succeeds, fails for good, or the deadline has passed. */
  private <Q extends Message, R extends Message> R repeated(
      MethodDescriptor<Q, R> method, Q request, Deadline deadline) {
    var options = server.options().withDeadline(deadline);
    for (int attempt = 0; ; attempt++) {
      try {
        return ClientCalls.blockingUnaryCall(server.channel(), method, options, request);
      } catch (StatusRuntimeException error) {
        var failure = failure(error);
        if (!Retries.isRetried(failure, isRepeatable(method, request))
            || !Retries.pausedBefore(deadline, pauseAfter(attempt, failure))) {
          throw error;
        }
      }
    }
  }

  /**
   * Makes a call that has several responses, without retries. The iterator throws a {@link
   * StatusRuntimeException}.
   */
  <Q extends Message, R extends Message> Iterator<R> stream(
      MethodDescriptor<Q, R> method, Q request) {
    Texts.check(request);
    return ClientCalls.blockingServerStreamingCall(
        server.channel(), method, server.options(), request);
  }

  /** Makes a call, like {@link #call}. No thread waits for it. */
  <Q extends Message, R extends Message> CompletableFuture<R> callAsync(
      MethodDescriptor<Q, R> method, Q request) {
    Texts.check(request);
    var deadline = Deadline.after(timeout(method).toNanos(), TimeUnit.NANOSECONDS);
    var result = new CompletableFuture<R>();
    attempt(method, request, deadline, 0, result);
    return result;
  }

  private <Q extends Message, R extends Message> void attempt(
      MethodDescriptor<Q, R> method,
      Q request,
      Deadline deadline,
      int attempt,
      CompletableFuture<R> result) {
    var options = server.options().withDeadline(deadline);
    var call = server.channel().newCall(method, options);
    result.whenComplete((response, error) -> call.cancel("the future has ended", error));
    Consumer<StatusRuntimeException> failed =
        error -> {
          var failure = failure(error);
          Duration pause = pauseAfter(attempt, failure);
          boolean isInTime = deadline.timeRemaining(TimeUnit.NANOSECONDS) > pause.toNanos();
          if (!isInTime || !Retries.isRetried(failure, isRepeatable(method, request))) {
            result.completeExceptionally(explained(error, method));
          } else if (!result.isDone()) {
            CompletableFuture.delayedExecutor(pause.toNanos(), TimeUnit.NANOSECONDS)
                .execute(() -> again(method, request, deadline, attempt + 1, result));
          }
        };
    ClientCalls.asyncUnaryCall(call, request, new Answer<>(result, failed));
  }

  private <Q extends Message, R extends Message> void again(
      MethodDescriptor<Q, R> method,
      Q request,
      Deadline deadline,
      int attempt,
      CompletableFuture<R> result) {
    try {
      attempt(method, request, deadline, attempt, result);
    } catch (IllegalStateException closed) {
      result.completeExceptionally(closed);
    }
  }

  /** Completes a future with the response of a call, unless the call failed. */
  private record Answer<R>(CompletableFuture<R> result, Consumer<StatusRuntimeException> failed)
      implements StreamObserver<R> {
    @Override
    public void onNext(R response) {
      result.complete(response);
    }

    @Override
    public void onError(Throwable error) {
      // gRPC reports every failure with this exception.
      failed.accept((StatusRuntimeException) error);
    }

    @Override
    public void onCompleted() {
      // The response has arrived before.
    }
  }

  /** Returns the delay after a failed attempt. If the server stops, the next server gets the call. */
  private Duration pauseAfter(int attempt, Failures.Failure failure) {
    boolean isNextsTurn = attempt < server.others() && failure.reason().equals("SHUTTING_DOWN");
    return isNextsTurn ? Duration.ZERO : Retries.pauseAfter(attempt, failure);
  }

  private Duration timeout(MethodDescriptor<?, ?> method) {
    return isWrite(method) ? writeTimeout : readTimeout;
  }

  /** Returns whether a call changes nothing, or has a position so that it is applied once. */
  private static boolean isRepeatable(MethodDescriptor<?, ?> method, Message request) {
    return !isWrite(method) || (request instanceof RecordRequest record && record.hasPosition());
  }

  private static boolean isWrite(MethodDescriptor<?, ?> method) {
    return !method.isSafe();
  }

  /** Adds the probable cause to an error that gRPC raised, rather than the server. */
  PodiumException explained(StatusRuntimeException error, MethodDescriptor<?, ?> method) {
    var failure = failure(error);
    if (failure.reason().isEmpty()) {
      boolean wasSent = !Failures.neverLeft(error);
      String text = text(failure, method, wasSent);
      boolean maybeStored = isWrite(method) && wasSent;
      failure = failure.withMessage(text + (maybeStored ? unknown(failure) : ""));
    }
    PodiumException explained = failure.exception();
    explained.initCause(error);
    return explained;
  }

  Failures.Failure failure(StatusRuntimeException error) {
    var failure = Failures.read(error);
    boolean isStopping = failure.code() == Status.Code.CANCELLED && !isCancelledHere();
    // A server that stops cancels new calls.
    return isStopping ? failure.withCode(Status.Code.UNAVAILABLE) : failure;
  }

  private boolean isCancelledHere() {
    return server.isClosed()
        || Thread.currentThread().isInterrupted()
        || Context.current().isCancelled();
  }

  private String text(Failures.Failure failure, MethodDescriptor<?, ?> method, boolean wasSent) {
    String address = server.address();
    return switch (failure.code()) {
      case UNAVAILABLE ->
          wasSent
              ? "the connection to %s was lost during the call (%s)"
                  .formatted(address, failure.message())
              : "no Podium server answers at %s: start one with `podium serve`, or give the right"
                      .formatted(address)
                  + " address ("
                  + failure.message()
                  + ")";
      case DEADLINE_EXCEEDED ->
          "%s did not answer within %s s"
              .formatted(
                  address,
                  BigDecimal.valueOf(timeout(method).toMillis(), 3)
                      .stripTrailingZeros()
                      .toPlainString());
      case CANCELLED -> "the call was cancelled: " + failure.message();
      case UNIMPLEMENTED ->
          "%s is not a Podium server, or an older one without %s"
              .formatted(address, method.getFullMethodName());
      default -> address + ": " + failure.message();
    };
  }

  /** Returns the text for a write that may have been stored. */
  private static String unknown(Failures.Failure failure) {
    return switch (failure.code()) {
      case UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED ->
          ": whether it was stored is unknown, and it is safe to send it again";
      default -> "";
    };
  }

  @Override
  public void close() {
    server.close();
  }
}
