package podium;

import java.time.Instant;
import java.util.Map;
import java.util.function.Consumer;
import podium.v1.ArmFinished;
import podium.v1.ArmRecorded;
import podium.v1.ArmStarted;
import podium.v1.ArmStatus;
import podium.v1.Attempt;
import podium.v1.EvalRecorded;
import podium.v1.EvalResult;
import podium.v1.Event;
import podium.v1.ExperimentConcluded;
import podium.v1.ExperimentDeclared;
import podium.v1.MetricsRecorded;
import podium.v1.RunConfig;
import podium.v1.Skipped;

/**
 * Makes the events that {@link ExperimentHandle#record} takes. Their time is the current time.
 * {@link
 * #now(Consumer)} sets any other field.
 */
public final class Events {
  private Events() {}

  /** Returns an event that creates the experiment. */
  public static Event declared() {
    return declared(ExperimentDeclared.getDefaultInstance());
  }

  /** Returns an event that creates the experiment, sets unset fields, or clears fields. */
  public static Event declared(ExperimentDeclared experiment) {
    return now().setExperimentDeclared(experiment).build();
  }

  /** Returns an event that starts an attempt at training an arm. */
  public static Event started(String arm, RunConfig config, Attempt attempt) {
    return started(
        ArmStarted.newBuilder().setArm(arm).setRunConfig(config).setAttempt(attempt).build());
  }

  /** Returns an event that starts an attempt, or continues training after a step. */
  public static Event started(ArmStarted started) {
    return now().setArmStarted(started).build();
  }

  /** Returns an event that records training metrics of an arm. */
  public static Event metrics(String arm, Map<String, Double> metrics) {
    return now()
        .setMetricsRecorded(MetricsRecorded.newBuilder().setArm(arm).putAllMetrics(metrics))
        .build();
  }

  /** Returns an event that records an eval row of an arm. */
  public static Event eval(String arm, EvalResult row) {
    return now().setEvalRecorded(EvalRecorded.newBuilder().setArm(arm).setEvalResult(row)).build();
  }

  /** Returns an event that ends the training of an arm. */
  public static Event finished(String arm, ArmStatus status) {
    return now().setArmFinished(ArmFinished.newBuilder().setArm(arm).setStatus(status)).build();
  }

  /** Returns an event that records a whole arm. */
  public static Event recorded(podium.v1.ArmResult arm) {
    return now().setArmRecorded(ArmRecorded.newBuilder().setArmResult(arm)).build();
  }

  /** Returns an event that stores the conclusion of the experiment. */
  public static Event concluded(String conclusion) {
    return now()
        .setExperimentConcluded(ExperimentConcluded.newBuilder().setConclusion(conclusion))
        .build();
  }

  /** Returns an event that uses a sequence number of its stream, and does nothing. */
  public static Event skipped() {
    return now().setSkipped(Skipped.getDefaultInstance()).build();
  }

  /**
   * Returns an event with the fields that a function sets: {@code
   * Events.now(event -> event.getArmFinishedBuilder().setArm("a")
   * .setAttemptId(id).setStatus(ArmStatus.ARM_STATUS_FAILED))}.
   */
  public static Event now(Consumer<Event.Builder> what) {
    var event = now();
    what.accept(event);
    return event.build();
  }

  private static Event.Builder now() {
    Instant now = Instant.now();
    var event = Event.newBuilder();
    event.getEventTimeBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano());
    return event;
  }
}
