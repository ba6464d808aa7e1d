package podium;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;

/** The server that the tests ask: where PODIUM_ADDRESS says, or one of their own. */
final class TestServer {
  private static final String LISTENING = "listening on ";
  private static final String ADDRESS = address();

  private TestServer() {}

  static Client client() {
    return Client.connect(ADDRESS);
  }

  /** The name of an experiment that no other test uses, on whatever server. */
  static String newExperiment() {
    return "java/" + UUID.randomUUID();
  }

  private static String address() {
    String given = System.getenv("PODIUM_ADDRESS");
    try {
      return given == null || given.isEmpty() ? started() : given;
    } catch (IOException error) {
      throw new UncheckedIOException(
          "the tests need `podium` on the PATH, or PODIUM_ADDRESS of a server", error);
    }
  }

  private static String started() throws IOException {
    Path folder = Files.createTempDirectory("podium");
    var server =
        new ProcessBuilder(
                "podium",
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--store",
                "sqlite:///" + folder + "/t.db")
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    Runtime.getRuntime().addShutdownHook(new Thread(server::destroy));
    var printed =
        new BufferedReader(new InputStreamReader(server.getInputStream(), StandardCharsets.UTF_8));
    String line = printed.readLine();
    if (line == null || !line.startsWith(LISTENING)) {
      throw new IOException("`podium serve` did not start: " + line);
    }
    return line.substring(LISTENING.length()).strip();
  }
}
