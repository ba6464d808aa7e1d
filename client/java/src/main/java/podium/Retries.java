package podium;

import io.grpc.Deadline;
import io.grpc.Status;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** Decides which calls are retried, and when. */
final class Retries {
  private static final Duration FIRST_PAUSE = Duration.ofMillis(100);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(1);

  /** Longer, since a watch goes on without a time limit. */
  private static final Duration LONGEST_WATCH_PAUSE = Duration.ofSeconds(10);

  /** The reasons of a server that rejects a call before it does anything. */
  private static final Set<String> TURNED_AWAY =
      Set.of("OVERLOADED", "QUOTA_EXCEEDED", "SHUTTING_DOWN");

  private Retries() {}

  /**
   * Returns whether a call that failed is made again: if the server refused it before working on
   * it, or if no server answers and repeating the call changes nothing.
   */
  static boolean isRetried(Failures.Failure failure, boolean isRepeatable) {
    return TURNED_AWAY.contains(failure.reason())
        || (failure.code() == Status.Code.UNAVAILABLE && isRepeatable);
  }

  /**
   * Returns how long to wait after a failed attempt, counted from 0: as long as the server asks
   * for, else twice as long each time, within a fifth.
   */
  static Duration pauseAfter(int attempt, Failures.Failure failure) {
    if (failure.retryDelay().compareTo(Duration.ZERO) > 0) {
      return failure.retryDelay();
    }
    long millis = Math.min(LONGEST_PAUSE.toMillis(), FIRST_PAUSE.toMillis() << Math.min(attempt, 9));
    return Duration.ofNanos((long) (millis * ThreadLocalRandom.current().nextDouble(8e5, 12e5)));
  }

  /**
   * Returns how long a watch waits after a failed attempt: any time up to twice as long each time,
   * so that clients that lost a server together do not return together, and at least as long as the
   * server asks for.
   */
  static Duration watchPauseAfter(int attempt, Failures.Failure failure) {
    long nanos =
        Math.min(LONGEST_WATCH_PAUSE.toNanos(), FIRST_PAUSE.toNanos() << Math.min(attempt, 9));
    var pause = Duration.ofNanos(ThreadLocalRandom.current().nextLong(nanos));
    return pause.compareTo(failure.retryDelay()) < 0 ? failure.retryDelay() : pause;
  }

  /**
   * Waits, and returns whether the call may be made again: not if its deadline has passed then. A
   * pause that would end after the deadline does not even begin.
   *
   * @throws io.grpc.StatusRuntimeException if the thread is interrupted, which it then stays
   */
  static boolean pausedBefore(Deadline deadline, Duration pause) {
    if (deadline.timeRemaining(TimeUnit.NANOSECONDS) <= pause.toNanos()) {
      return false;
    }
    try {
      TimeUnit.NANOSECONDS.sleep(pause.toNanos());
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw Status.CANCELLED.withDescription("interrupted").withCause(error).asRuntimeException();
    }
    return !deadline.isExpired();
  }
}
