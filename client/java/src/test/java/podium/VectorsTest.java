package podium;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The vectors hold for an arm that is asked itself; tests/conformance asks servers, too. */
class VectorsTest {
  private static final Path FOLDER = Path.of("../../tests/vectors");

  @TestFactory
  List<DynamicTest> anArmAnswersAsTheVectorsSay() throws IOException {
    List<DynamicTest> tests = new ArrayList<>();
    try (var files = Files.newDirectoryStream(FOLDER, "reads*.json")) {
      for (Path file : files) {
        var json = JsonParser.parseString(Files.readString(file)).getAsJsonObject();
        for (JsonElement test : json.getAsJsonArray("cases")) {
          JsonObject vector = test.getAsJsonObject();
          tests.add(
              dynamicTest(vector.get("name").getAsString(), () -> ReadVectors.locally(vector)));
        }
      }
    }
    assertFalse(tests.isEmpty());
    return tests;
  }
}
