package podium;

/** Reads the variables of the environment. */
final class Environment {
  private Environment() {}

  /** Returns a variable, or an empty text if it is not set. */
  static String variable(String name) {
    String text = System.getenv(name);
    return text == null ? "" : text.strip();
  }
}
