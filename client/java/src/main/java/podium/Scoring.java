package podium;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import podium.v1.ArmResult;
import podium.v1.EvalResult;
import podium.v1.ScoreOrigin;
import podium.v1.ScoreSource;

/** Computes eval and score of an arm's message, by the same rules as the server. */
final class Scoring {
  private static final String TEST_TAG = "test";
  private static final int TESTED = 0;
  private static final int POST_TRAINING = 1;
  private static final int IN_LOOP = 2;
  private static final int NEVER = 3;

  private Scoring() {}

  /** Returns the row of a name. Of rows with the same name and step, the first one is used. */
  static Optional<EvalResult> eval(List<EvalResult> rows, String name) {
    EvalResult best = null;
    for (EvalResult row : rows) {
      if (row.getName().equals(name) && (best == null || precedes(row, best))) {
        best = row;
      }
    }
    return Optional.ofNullable(best);
  }

  /** Returns whether a row comes before another one of its name. */
  private static boolean precedes(EvalResult row, EvalResult other) {
    if (!row.hasStep() || !other.hasStep()) {
      return other.hasStep();
    }
    return row.getStep() > other.getStep();
  }

  /** Returns the first in-loop row of a name at exactly a step. */
  static Optional<EvalResult> eval(List<EvalResult> rows, String name, long step) {
    return rows.stream()
        .filter(row -> row.getName().equals(name) && row.hasStep() && row.getStep() == step)
        .findFirst();
  }

  /** Returns the primary eval of an arm's rows, which are in the order of first acceptance. */
  static Optional<EvalResult> primary(List<EvalResult> rows) {
    Set<Identity> seen = new HashSet<>();
    EvalResult best = null;
    for (EvalResult row : rows) {
      // Rows that repeat the name and step of an earlier one are ignored.
      boolean first = seen.add(Identity.of(row));
      if (first && primaryClass(row) < (best == null ? NEVER : primaryClass(best))) {
        best = row;
      }
    }
    return Optional.ofNullable(best);
  }

  /** Returns the rows without those that repeat the name and step of an earlier one. */
  static List<EvalResult> distinct(List<EvalResult> rows) {
    Set<Identity> seen = new HashSet<>();
    return rows.stream().filter(row -> seen.add(Identity.of(row))).toList();
  }

  private record Identity(String name, Long step) {
    static Identity of(EvalResult row) {
      return new Identity(row.getName(), row.hasStep() ? row.getStep() : null);
    }
  }

  /** Returns the class of a row. The primary eval is the first row of the lowest class. */
  private static int primaryClass(EvalResult row) {
    if (row.hasModelRef()) {
      return NEVER; // Another model was scored.
    }
    if (row.hasStep()) {
      return IN_LOOP;
    }
    return row.getTagsList().contains(TEST_TAG) ? TESTED : POST_TRAINING;
  }

  /** Returns the score of an arm on a metric. Tries each dot from the left, then the whole text. */
  static Optional<Score> score(ArmResult arm, String metric) {
    if (metric.isEmpty()) {
      throw new PodiumException.InvalidArgument(
          "metric must not be empty", "NAME_INVALID", Map.of("field", "metric"), List.of());
    }
    // Names and keys are never empty, so a dot at the start or the end is not tried.
    int last = metric.length() - 1;
    for (int dot = metric.indexOf('.', 1);
        dot > 0 && dot < last;
        dot = metric.indexOf('.', dot + 1)) {
      var found = rowScore(arm, metric.substring(0, dot), metric.substring(dot + 1));
      if (found.isPresent()) {
        return found;
      }
    }
    return bareScore(arm, metric);
  }

  private static Optional<Score> rowScore(ArmResult arm, String name, String key) {
    return eval(arm.getEvalsList(), name)
        .filter(row -> row.containsMetrics(key))
        .map(row -> scoreOf(row, key));
  }

  private static Score scoreOf(EvalResult row, String key) {
    var source = ScoreSource.newBuilder().setKey(key).setEvalName(row.getName());
    if (row.hasStep()) {
      source.setOrigin(ScoreOrigin.SCORE_ORIGIN_IN_LOOP_EVAL).setStep(row.getStep());
    } else {
      source.setOrigin(ScoreOrigin.SCORE_ORIGIN_POST_TRAINING_EVAL);
    }
    return new Score(row.getMetricsOrThrow(key), source.build());
  }

  /** Returns the eval metric of a key, or else the training metric. */
  private static Optional<Score> bareScore(ArmResult arm, String key) {
    var row = primary(arm.getEvalsList());
    var given = arm.getEvalMetricsMap();
    boolean mirrors =
        row.isPresent() && (given.isEmpty() || sameMetrics(given, row.get().getMetricsMap()));
    if (mirrors && row.get().containsMetrics(key)) {
      return Optional.of(scoreOf(row.get(), key));
    }
    if (!mirrors && given.containsKey(key)) {
      return Optional.of(score(given.get(key), ScoreOrigin.SCORE_ORIGIN_GIVEN_EVAL_METRICS, key));
    }
    if (arm.containsMetrics(key)) {
      double value = arm.getMetricsOrThrow(key);
      return Optional.of(score(value, ScoreOrigin.SCORE_ORIGIN_TRAINING_METRICS, key));
    }
    return Optional.empty();
  }

  private static Score score(double value, ScoreOrigin origin, String key) {
    return new Score(value, ScoreSource.newBuilder().setOrigin(origin).setKey(key).build());
  }

  /** Returns whether two sets of metrics are equal. NaN equals NaN, and 0.0 equals -0.0. */
  private static boolean sameMetrics(Map<String, Double> left, Map<String, Double> right) {
    return left.keySet().equals(right.keySet())
        && left.entrySet().stream().allMatch(e -> same(e.getValue(), right.get(e.getKey())));
  }

  private static boolean same(double left, double right) {
    return left == right || (Double.isNaN(left) && Double.isNaN(right));
  }
}
