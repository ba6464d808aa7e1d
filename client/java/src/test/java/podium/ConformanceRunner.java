package podium;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Goes through a plan of tests/conformance and reports each case: {@code ConformanceRunner PLAN}.
 */
public final class ConformanceRunner {
  private final PrintStream out =
      new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
  private int experiments;

  private ConformanceRunner() {}

  /** Goes through the plan in the file that is named. */
  public static void main(String[] arguments) throws IOException {
    var runner = new ConformanceRunner();
    for (JsonElement entry : read(Path.of(arguments[0])).getAsJsonArray()) {
      runner.goThrough(entry.getAsJsonObject());
    }
  }

  private static JsonElement read(Path file) throws IOException {
    return JsonParser.parseString(Files.readString(file));
  }

  private void goThrough(JsonObject entry) throws IOException {
    try (Client client = Client.connect(entry.get("address").getAsString())) {
      if (entry.has("exchange")) {
        exchange(entry, client);
      } else {
        vectors(Path.of(entry.get("file").getAsString()), client);
      }
    }
  }

  private void vectors(Path file, Client client) throws IOException {
    String name = file.getFileName().toString();
    for (JsonElement element : read(file).getAsJsonObject().getAsJsonArray("cases")) {
      JsonObject test = element.getAsJsonObject();
      String title = test.get("name").getAsString();
      if (name.startsWith("reads")) {
        report(name, "pure", title, () -> ReadVectors.locally(test));
        report(name, "wire", title, () -> ReadVectors.overTheWire(test, client, newExperiment()));
      } else if (name.startsWith("rank")) {
        report(name, "wire", title, () -> RankVectors.overTheWire(test, client, newExperiment()));
      } else {
        report(name, "wire", title, () -> WriteVectors.overTheWire(test, client, newExperiment()));
      }
    }
  }

  private String newExperiment() {
    experiments++;
    return "conformance/java/" + experiments;
  }

  private void exchange(JsonObject entry, Client client) {
    String experiment = entry.get("experiment").getAsString();
    var arm = ReadVectors.armOf(entry);
    String way = entry.get("exchange").getAsString();
    report(
        "exchange",
        way,
        experiment + "/" + arm.getName(),
        () -> {
          if (way.equals("write")) {
            client.experiment(experiment).record(Events.declared(), Events.recorded(arm));
          } else {
            ArmResult found = client.arm(experiment, arm.getName()).get();
            Checks.equal(arm, Checks.bare(found.message()), "the arm");
          }
        });
  }

  private void report(String file, String way, String title, Runnable what) {
    String detail = "";
    try {
      what.run();
    } catch (RuntimeException | AssertionError failure) {
      detail = failure.toString();
    }
    var line = new JsonObject();
    line.addProperty("file", file);
    line.addProperty("way", way);
    line.addProperty("case", title);
    line.addProperty("ok", detail.isEmpty());
    line.addProperty("detail", detail);
    out.println(line);
  }
}
