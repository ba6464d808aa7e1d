package podium;

import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import podium.v1.ArmFinished;
import podium.v1.ArmStarted;
import podium.v1.ArmStatus;
import podium.v1.EvalRecorded;
import podium.v1.EvalResult;
import podium.v1.Event;
import podium.v1.MetricsRecorded;
import podium.v1.RecordResponse;
import podium.v1.StreamPosition;

/**
 * An attempt at training an arm, which {@link ExperimentHandle#startArm} starts.
 *
 * <p>Each call returns after the server has stored its event. Until the deadline of writes, it is
 * retried while no server answers, and the event is stored exactly once. Any number of threads may
 * share an attempt: it makes one call at a time. If there is a newer attempt, calls throw a {@link
 * PodiumException.FailedPrecondition} with STALE_ATTEMPT: end the training then.
 *
 * <p>In a {@code try} with resources, an attempt that has no end when the block is left is failed.
 */
public final class ArmRun implements AutoCloseable {
  private static final SecureRandom RANDOM = new SecureRandom();

  private final ExperimentHandle experiment;
  private final ArmHandle arm;
  private final String attemptId;
  private StreamPosition next = firstPosition();
  private boolean isFinished;

  /** Records the start. The event must have a name and an attempt. */
  ArmRun(ExperimentHandle experiment, ArmStarted started) {
    this.experiment = experiment;
    this.arm = experiment.arm(started.getArm());
    this.attemptId = started.getAttempt().getId();
    record(Events.started(started));
  }

  /** Returns a handle of the arm, to read it. */
  public ArmHandle arm() {
    return arm;
  }

  /** Returns the id of the attempt. */
  public String attemptId() {
    return attemptId;
  }

  /** Records training metrics. The latest value of each key is kept. */
  public RecordResponse log(Map<String, Double> metrics) {
    return log(MetricsRecorded.newBuilder().putAllMetrics(metrics));
  }

  /** Records training metrics at a step: the values are also points of the training series. */
  public RecordResponse log(Map<String, Double> metrics, long step) {
    return log(MetricsRecorded.newBuilder().putAllMetrics(metrics).setStep(step));
  }

  private RecordResponse log(MetricsRecorded.Builder metrics) {
    metrics.setArm(arm.name()).setAttemptId(attemptId);
    return record(Events.now(event -> event.setMetricsRecorded(metrics)));
  }

  /** Records an eval row. It replaces a row with the same name and step. */
  public RecordResponse logEval(EvalResult row) {
    var recorded =
        EvalRecorded.newBuilder().setArm(arm.name()).setAttemptId(attemptId).setEvalResult(row);
    return record(Events.now(event -> event.setEvalRecorded(recorded)));
  }

  /** Records that the training completed. A later end replaces an earlier one. */
  public RecordResponse finish() {
    return finish(ArmStatus.ARM_STATUS_COMPLETED);
  }

  /** Records the end of the training, as {@link #finish(ArmFinished)}. */
  public RecordResponse finish(ArmStatus status) {
    return finish(ArmFinished.newBuilder().setStatus(status).build());
  }

  /** Records the end of the training. The names of the arm and the attempt in it are ignored. */
  public RecordResponse finish(ArmFinished end) {
    var finished = end.toBuilder().setArm(arm.name()).setAttemptId(attemptId);
    return record(Events.now(event -> event.setArmFinished(finished)));
  }

  /** Records that the arm failed, unless its end was recorded. */
  @Override
  public void close() {
    end(ArmStatus.ARM_STATUS_FAILED, "the training ended without finish()");
  }

  /** Sends one event with the next position of the stream. */
  private synchronized RecordResponse record(Event event) {
    StreamPosition position = next;
    // A failed call ends the stream, because it is unknown whether its event was stored.
    next = firstPosition();
    RecordResponse response = experiment.record(List.of(event), position);
    next = position.toBuilder().setFirstSequence(position.getFirstSequence() + 1).build();
    isFinished |= event.hasArmFinished();
    return response;
  }

  /** Records an end, unless one was recorded; also if the thread is interrupted. */
  private void end(ArmStatus status, String error) {
    synchronized (this) {
      if (isFinished) {
        return;
      }
    }
    var end = ArmFinished.newBuilder().setStatus(status);
    if (error != null) {
      end.setError(error);
    }
    boolean isInterrupted = Thread.interrupted();
    try {
      finish(end.build());
    } finally {
      if (isInterrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Runs a block, and records its end. */
  <E extends Exception> void train(Training<E> block) throws E {
    try {
      block.train(this);
    } catch (Throwable error) {
      boolean isCancelled =
          error instanceof InterruptedException || Thread.currentThread().isInterrupted();
      endOf(
          isCancelled ? ArmStatus.ARM_STATUS_CANCELLED : ArmStatus.ARM_STATUS_FAILED, error);
      throw error;
    }
    end(ArmStatus.ARM_STATUS_COMPLETED, null);
  }

  private void endOf(ArmStatus status, Throwable error) {
    try {
      end(status, Objects.toString(error));
    } catch (PodiumException unrecorded) {
      error.addSuppressed(unrecorded);
    }
  }

  private static StreamPosition firstPosition() {
    return StreamPosition.newBuilder().setWriterId(randomId()).setFirstSequence(1).build();
  }

  /** Returns 32 random hexadecimal digits. */
  static String randomId() {
    byte[] bytes = new byte[16];
    RANDOM.nextBytes(bytes);
    return HexFormat.of().formatHex(bytes);
  }

  /**
   * A training that {@link ExperimentHandle#runArm} runs.
   *
   * @param <E> the exception that it throws
   */
  @FunctionalInterface
  public interface Training<E extends Exception> {
    /** Trains the arm and records its results. */
    void train(ArmRun run) throws E;
  }
}
