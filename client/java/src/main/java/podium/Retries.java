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

  /** Longer, since a watch has no time limit. */
  private static final Duration LONGEST_WATCH_PAUSE = Duration.ofSeconds(10);

  /** The reasons of a server that rejects a call before it does anything. */
  private static final Set<String> TURNED_AWAY =
      Set.of("OVERLOADED", "QUOTA_EXCEEDED", "SHUTTING_DOWN");

  private Retries() {}

  /**
   * Returns whether a failed call is retried: if the server rejected it before any work, or if no
   * server answers and repeating the call is safe.
   */
  static boolean isRetried(Failures.Failure failure, boolean isRepeatable) {
    return TURNED_AWAY.contains(failure.reason())
        || (failure.code() == Status.Code.UNAVAILABLE && isRepeatable);
  }

  /**
   * Returns the delay after a failed attempt, counted from 0. It is the delay that the server asks
   * for, or else doubles with each attempt, varied at random by up to 20 %.
   */
  static Duration pauseAfter(int attempt, Failures.Failure failure) {
    if (failure.retryDelay().compareTo(Duration.ZERO) > 0) {
      return failure.retryDelay();
    }
    long millis = Math.min(LONGEST_PAUSE.toMillis(), FIRST_PAUSE.toMillis() << Math.min(attempt, 9));
    return Duration.ofNanos((long) (millis * ThreadLocalRandom.current().nextDouble(8e5, 12e5)));
  }

  /**
   * Returns the delay of a watch after a failed attempt: random, up to a limit that doubles with
   * each attempt, so that not all clients of a lost server reconnect at once. It is at least the
   * delay that the server asks for.
   */
  static Duration watchPauseAfter(int attempt, Failures.Failure failure) {
    long nanos =
        Math.min(LONGEST_WATCH_PAUSE.toNanos(), FIRST_PAUSE.toNanos() << Math.min(attempt, 9));
    var pause = Duration.ofNanos(ThreadLocalRandom.current().nextLong(nanos));
    return pause.compareTo(failure.retryDelay()) < 0 ? failure.retryDelay() : pause;
  }

  /**
   * Waits, and returns true. If the delay would end after the deadline, returns false at once.
   *
   * @throws io.grpc.StatusRuntimeException if the thread is interrupted. It stays interrupted
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
