package podium;

import java.util.OptionalDouble;
import podium.v1.ScoreSource;

/**
 * A score and its source.
 *
 * @param value the number, which can be NaN
 * @param source the kind of result that has the score, with its row and key
 */
public record Score(double value, ScoreSource source) {
  OptionalDouble optional() {
    return OptionalDouble.of(value);
  }
}
