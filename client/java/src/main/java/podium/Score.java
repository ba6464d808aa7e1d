package podium;

import java.util.OptionalDouble;
import podium.v1.ScoreSource;

/**
 * A score and where it came from.
 *
 * @param value the number; NaN is one
 * @param source the kind of result that it is part of, and the row and key there
 */
public record Score(double value, ScoreSource source) {
  OptionalDouble optional() {
    return OptionalDouble.of(value);
  }
}
