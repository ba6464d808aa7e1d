package podium;

import java.util.Optional;
import java.util.function.Supplier;

/** Reads what takes several calls, as it was at one moment. */
final class OneState {
  private static final int ATTEMPTS = 5;

  /** The most items that a page holds. */
  static final int LARGEST_PAGE = 1_000;

  private OneState() {}

  /**
   * Reads until nothing changes meanwhile.
   *
   * @param what what is read, for the error
   * @param read answers nothing if what it read changed between two pages
   * @throws PodiumException.Aborted if it never held still
   */
  static <T> T read(String what, Supplier<Optional<T>> read) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      var found = read.get();
      if (found.isPresent()) {
        return found.get();
      }
    }
    throw new PodiumException.Aborted(
        "%s changed %d times while it was read: it is too busy to be read as a whole; try again, or"
                .formatted(what, ATTEMPTS)
            + " ask for less");
  }
}
