package podium;

import java.util.Optional;
import java.util.function.Supplier;

/** Reads all pages of a result as of one revision. */
final class OneState {
  private static final int ATTEMPTS = 5;

  /** The most items that a page holds. */
  static final int LARGEST_PAGE = 1_000;

  private OneState() {}

  /**
   * Reads until the result did not change between the pages.
   *
   * @param what the name of the result, for the error
   * @param read returns nothing if the result changed between two pages
   * @throws PodiumException.Aborted if it changed each time
   */
  static <T> T read(String what, Supplier<Optional<T>> read) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      var found = read.get();
      if (found.isPresent()) {
        return found.get();
      }
    }
    throw new PodiumException.Aborted(
        ("%s changed %d times while it was read: it is too busy to be read as a whole; "
                + "try again, or ask for less")
            .formatted(what, ATTEMPTS));
  }
}
