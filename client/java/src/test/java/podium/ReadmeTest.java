package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** What the README shows is what runs. */
class ReadmeTest {
  private static final Pattern BLOCK = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL);

  /** The README's example is the file that tests/conformance runs. */
  @Test
  void theExampleIsTheFile() throws IOException {
    var block = BLOCK.matcher(Files.readString(Path.of("README.md")));
    assertEquals(true, block.find());
    assertEquals(Files.readString(Path.of("examples/Quickstart.java")), block.group(1));
  }
}
