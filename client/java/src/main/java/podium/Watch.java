package podium;

import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import podium.v1.ResultsServiceGrpc;
import podium.v1.WatchMarker;
import podium.v1.WatchRequest;
import podium.v1.WatchResponse;

/**
 * The updates of an experiment, which {@link ExperimentHandle#watch} begins to watch.
 *
 * <p>{@link #hasNext} waits for the next update. Each has a marker, and changes the state before it
 * into exactly the state of the marker's revision. Apply its fields in the order reset, removals,
 * arms, evals, series. If the connection is lost, the watch continues after the last update. The
 * update of a deleted experiment is the last one.
 *
 * <p>One thread at a time reads a watch. Any thread can close it, and {@link #hasNext} then returns
 * false. A thread that is interrupted while it waits gets a {@link PodiumException}.
 */
public final class Watch implements Iterator<WatchResponse>, AutoCloseable {
  /** The number of resets in a row, without another update, after which a watch fails. */
  private static final int MOST_RESETS = 3;

  /** The time limit of the retries if the server has never answered. */
  private static final Duration CONNECT_TIME = Duration.ofSeconds(10);

  /** The reasons of errors after which a watch continues. */
  private static final Set<String> TRANSIENT =
      Set.of("OVERLOADED", "SHUTTING_DOWN", "WATCH_TOO_SLOW", "OUTCOME_UNKNOWN");

  private static final WatchResponse DELETED = WatchResponse.newBuilder().setDeleted(true).build();

  private final Connection connection;
  private final long begun = System.nanoTime();
  private final Context.CancellableContext context = Context.current().withCancellation();
  private final CountDownLatch closed = new CountDownLatch(1);
  private WatchRequest request;

  /** The responses of the running call, or null. */
  private Iterator<WatchResponse> responses;

  /** The last marker that arrived, or null. */
  private WatchMarker marker;

  /** Failures since the last update that was not a reset. */
  private int attempt;

  /** Resets since then. */
  private int resets;

  private WatchResponse next;
  private boolean isOver;

  Watch(Connection connection, WatchRequest request) {
    this.connection = connection;
    this.request = request;
  }

  /**
   * Waits for the next update.
   *
   * @return false after the experiment was deleted, an error, or {@link #close}
   * @throws PodiumException.NotFound if the experiment does not exist
   * @throws PodiumException.Unavailable if no server answered for 10 s, before the first update
   */
  @Override
  public boolean hasNext() {
    if (next == null && !isOver) {
      isOver = true; // Unless there is another one: an error ends the watch.
      next = read();
      isOver = next == null || next.getDeleted();
    }
    return next != null;
  }

  @Override
  public WatchResponse next() {
    if (!hasNext()) {
      throw new NoSuchElementException("the watch has ended");
    }
    var update = next;
    next = null;
    return update;
  }

  /** Ends the watch and its call. */
  @Override
  public void close() {
    closed.countDown();
    context.cancel(null);
  }

  private boolean isClosed() {
    return closed.getCount() == 0;
  }

  /** Makes calls until one has an update. Returns null if the watch is closed. */
  private WatchResponse read() {
    while (!isClosed()) {
      try {
        return update();
      } catch (StatusRuntimeException error) {
        responses = null;
        if (isClosed()) {
          break;
        }
        if (error.getStatus().getCode() == Status.Code.NOT_FOUND && marker != null) {
          return DELETED; // It was deleted while there was no connection.
        }
        pause(error);
      }
    }
    return null;
  }

  /** Reads responses until they complete a new update. */
  private WatchResponse update() {
    if (responses == null) {
      responses = begin();
    }
    var update = WatchResponse.newBuilder();
    while (responses.hasNext()) {
      WatchResponse response = responses.next();
      if (response.getDeleted()) {
        return DELETED;
      }
      add(update, response);
      if (response.hasMarker()) {
        boolean isNews = !response.getMarker().equals(marker);
        complete(update);
        if (isNews) {
          return update.build();
        }
        update.clear();
      }
    }
    throw Status.UNAVAILABLE.withDescription("the server has ended the watch").asRuntimeException();
  }

  private Iterator<WatchResponse> begin() {
    Context previous = context.attach();
    try {
      return connection.stream(ResultsServiceGrpc.getWatchMethod(), request);
    } finally {
      context.detach(previous);
    }
  }

  private void complete(WatchResponse.Builder update) {
    marker = update.getMarker();
    request =
        request.toBuilder()
            .setAfterRevision(marker.getRevision())
            .setEpoch(marker.getEpoch())
            .build();
    if (update.getReset()) { // The server may only reset: the pauses grow.
      resets++; // A reset without its update was interrupted, and the next call repeats it.
    } else {
      attempt = 0;
      resets = 0;
    }
  }

  /** Waits before the next call. Throws the error if the watch ends. */
  private void pause(StatusRuntimeException error) {
    var failure = connection.failure(error);
    if (!isRetried(failure)) {
      throw connection.explained(error, ResultsServiceGrpc.getWatchMethod());
    }
    try {
      long nanos = Retries.watchPauseAfter(attempt++, failure).toNanos();
      closed.await(nanos, TimeUnit.NANOSECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      var status = Status.CANCELLED.withDescription("interrupted").withCause(interrupted);
      throw connection.explained(status.asRuntimeException(), ResultsServiceGrpc.getWatchMethod());
    }
  }

  /** Returns whether to retry. If the server has answered before, there is no time limit. */
  private boolean isRetried(Failures.Failure failure) {
    boolean isAway =
        failure.code() == Status.Code.UNAVAILABLE || failure.code() == Status.Code.INTERNAL;
    boolean isTransient =
        TRANSIENT.contains(failure.reason()) || (failure.reason().isEmpty() && isAway);
    return isTransient
        && (marker != null || System.nanoTime() - begun < CONNECT_TIME.toNanos());
  }

  /** Adds a response to the update that it is a part of. */
  private void add(WatchResponse.Builder update, WatchResponse response) {
    if (response.getReset()) {
      if (resets == MOST_RESETS) {
        throw tooManyResets();
      }
      update.clear();
    }
    Updates.merge(update, response);
  }

  private StatusRuntimeException tooManyResets() {
    var text =
        "the server reset the watch of '%s' %d times in a row: does the address lead to servers"
            + " with different stores?";
    return Status.ABORTED
        .withDescription(text.formatted(request.getExperiment(), MOST_RESETS + 1))
        .asRuntimeException();
  }
}
