package podium;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import podium.v1.ArmStatus;
import podium.v1.EvalResult;
import podium.v1.RunConfig;
import podium.v1.Value;

/**
 * One arm with its rows. It has the same methods as an {@link ArmHandle}, and makes no calls.
 *
 * <p>It never changes; {@link #message()} has every field of it.
 */
public final class ArmSnapshot {
  private final podium.v1.ArmResult message;

  private ArmSnapshot(podium.v1.ArmResult message) {
    this.message = message;
  }

  /** Returns the arm that a message describes, with its rows in the order of acceptance. */
  public static ArmSnapshot of(podium.v1.ArmResult message) {
    return new ArmSnapshot(message);
  }

  /** Returns the message, with the fields as they were given. */
  public podium.v1.ArmResult message() {
    return message;
  }

  /** Returns the name. */
  public String name() {
    return message.getName();
  }

  /** Returns the status. */
  public ArmStatus status() {
    return message.getStatus();
  }

  /** Returns the configuration of the training. */
  public RunConfig runConfig() {
    return message.getRunConfig();
  }

  /** Returns the training metrics: the latest value of each key. */
  public Map<String, Double> metrics() {
    return message.getMetricsMap();
  }

  /** Returns the rows. */
  public List<EvalResult> evals() {
    return message.getEvalsList();
  }

  /** Returns the post-training row of an eval, or else the in-loop row with the greatest step. */
  public Optional<EvalResult> eval(String name) {
    return Scoring.eval(evals(), name);
  }

  /**
   * Returns the in-loop row of an eval at exactly a step. It never returns the post-training row
   * or the nearest one. A step can be 0 or negative.
   */
  public Optional<EvalResult> eval(String name, long step) {
    return Scoring.eval(evals(), name, step);
  }

  /**
   * Returns the primary eval: the first post-training row tagged {@code test}, or else the first
   * post-training row, or else the first row. A row with a model_ref is never primary.
   */
  public Optional<EvalResult> primaryEval() {
    return Scoring.primary(evals());
  }

  /** Returns the eval metrics that were given, or else those of the primary eval. */
  public Map<String, Double> evalMetrics() {
    Map<String, Double> given = message.getEvalMetricsMap();
    return given.isEmpty() ? primaryEval().map(EvalResult::getMetricsMap).orElse(given) : given;
  }

  /** Returns the breakdowns that were given, or else those of the primary eval. */
  public Map<String, Value> evalBreakdowns() {
    Map<String, Value> given = message.getEvalBreakdownsMap();
    return given.isEmpty() ? primaryEval().map(EvalResult::getBreakdownsMap).orElse(given) : given;
  }

  /** Returns the seconds of evaluation that were given, or else those of the primary eval. */
  public OptionalDouble evalSeconds() {
    if (message.hasEvalSeconds()) {
      return OptionalDouble.of(message.getEvalSeconds());
    }
    return primaryEval().stream()
        .filter(EvalResult::hasEvalSeconds)
        .mapToDouble(EvalResult::getEvalSeconds)
        .findFirst();
  }

  /**
   * Returns the score on a metric: {@code pass_rate}, or {@code val.pass_rate}. NaN is a score.
   *
   * @throws PodiumException.InvalidArgument if the metric is empty
   */
  public OptionalDouble score(String metric) {
    return findScore(metric).map(Score::optional).orElse(OptionalDouble.empty());
  }

  /** Returns the score on a metric and its source. */
  public Optional<Score> findScore(String metric) {
    return Scoring.score(message, metric);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ArmSnapshot arm && message.equals(arm.message);
  }

  @Override
  public int hashCode() {
    return message.hashCode();
  }

  @Override
  public String toString() {
    return "ArmSnapshot(" + name() + ", " + status() + ", " + evals().size() + " evals)";
  }
}
