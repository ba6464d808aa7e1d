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
 * Makes the events that {@link ExperimentHandle#record} takes, happening now. For what the others
 * do not say, there is {@link #now(Consumer)}.
 */
public final class Events {
  private Events() {}

  /** An experiment begins, and says nothing about itself. */
  public static Event declared() {
    return declared(ExperimentDeclared.getDefaultInstance());
  }

  /** An experiment begins, or says more about itself. */
  public static Event declared(ExperimentDeclared experiment) {
    return now().setExperimentDeclared(experiment).build();
  }

  /** An attempt at training an arm begins. */
  public static Event started(String arm, RunConfig config, Attempt attempt) {
    return started(
        ArmStarted.newBuilder().setArm(arm).setRunConfig(config).setAttempt(attempt).build());
  }

  /** An attempt at training an arm begins, or goes on from a step. */
  public static Event started(ArmStarted started) {
    return now().setArmStarted(started).build();
  }

  /** Training metrics of an arm. */
  public static Event metrics(String arm, Map<String, Double> metrics) {
    return now()
        .setMetricsRecorded(MetricsRecorded.newBuilder().setArm(arm).putAllMetrics(metrics))
        .build();
  }

  /** An eval row of an arm. */
  public static Event eval(String arm, EvalResult row) {
    return now().setEvalRecorded(EvalRecorded.newBuilder().setArm(arm).setEvalResult(row)).build();
  }

  /** An arm's training ended: as planned, by an error or on request. */
  public static Event finished(String arm, ArmStatus status) {
    return now().setArmFinished(ArmFinished.newBuilder().setArm(arm).setStatus(status)).build();
  }

  /** A whole arm at once. */
  public static Event recorded(podium.v1.ArmResult arm) {
    return now().setArmRecorded(ArmRecorded.newBuilder().setArmResult(arm)).build();
  }

  /** The conclusion of the experiment. */
  public static Event concluded(String conclusion) {
    return now()
        .setExperimentConcluded(ExperimentConcluded.newBuilder().setConclusion(conclusion))
        .build();
  }

  /** Nothing, in the place of an event of a stream: it takes a sequence number. */
  public static Event skipped() {
    return now().setSkipped(Skipped.getDefaultInstance()).build();
  }

  /**
   * Whatever is set: {@code Events.now(event -> event.getArmFinishedBuilder().setArm("a")
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
