package podium;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import podium.v1.EvalResult;
import podium.v1.ScoreResponse;

/** The vectors of reads: cases are asked locally or of a server. */
final class ReadVectors {
  private ReadVectors() {}

  /** One way of asking an arm. */
  interface Asker {
    Optional<EvalResult> eval(String name);

    Optional<EvalResult> eval(String name, long step);

    Optional<Score> findScore(String metric);

    ArmResult arm();
  }

  static podium.v1.ArmResult armOf(JsonObject test) {
    return JsonMessages.read(test.get("arm"), podium.v1.ArmResult.newBuilder());
  }

  /** Asks the arm of a case itself. */
  static void locally(JsonObject test) {
    ArmResult arm = ArmResult.of(armOf(test));
    check(test, local(arm));
  }

  private static Asker local(ArmResult arm) {
    return new Asker() {
      @Override
      public Optional<EvalResult> eval(String name) {
        return arm.eval(name);
      }

      @Override
      public Optional<EvalResult> eval(String name, long step) {
        return arm.eval(name, step);
      }

      @Override
      public Optional<Score> findScore(String metric) {
        Checks.equal(arm.score(metric).isPresent(), arm.findScore(metric).isPresent(), metric);
        return arm.findScore(metric);
      }

      @Override
      public ArmResult arm() {
        return arm;
      }
    };
  }

  /** Records the arm of a case and asks the server; or holds that the server refuses it. */
  static void overTheWire(JsonObject test, Client client, String experiment) {
    var message = armOf(test);
    String refused = test.has("refused") ? test.get("refused").getAsString() : "";
    client.experiment(experiment).declare();
    try {
      client.experiment(experiment).recordArm(message);
    } catch (PodiumException error) {
      Checks.equal(refused, error.reason(), "the reason of " + error.getMessage());
      return;
    }
    Checks.equal(refused, "", "the reason");
    ArmHandle arm = client.arm(experiment, message.getName());
    check(test, remote(arm));
    Checks.equal(distinct(message), Checks.bare(arm.get().message()).getEvalsList(), "the rows");
    Checks.equal(
        distinct(message), arm.evals().stream().map(Checks::bare).toList(), "the listed rows");
  }

  private static Asker remote(ArmHandle arm) {
    return new Asker() {
      @Override
      public Optional<EvalResult> eval(String name) {
        return arm.eval(name).map(Checks::bare);
      }

      @Override
      public Optional<EvalResult> eval(String name, long step) {
        return arm.eval(name, step).map(Checks::bare);
      }

      @Override
      public Optional<Score> findScore(String metric) {
        Checks.equal(arm.score(metric).isPresent(), arm.findScore(metric).isPresent(), metric);
        return arm.findScore(metric);
      }

      @Override
      public ArmResult arm() {
        return arm.get();
      }
    };
  }

  /** The rows of an arm without those that repeat an earlier one's name and step. */
  private static List<EvalResult> distinct(podium.v1.ArmResult arm) {
    var seen = new java.util.HashSet<String>();
    return arm.getEvalsList().stream()
        .filter(row -> seen.add(row.getName() + (row.hasStep() ? "\0" + row.getStep() : "")))
        .toList();
  }

  private static void check(JsonObject test, Asker asker) {
    for (JsonElement question : arrayOrEmpty(test, "evals")) {
      checkEval(question.getAsJsonObject(), armOf(test), asker);
    }
    for (JsonElement question : arrayOrEmpty(test, "scores")) {
      checkScore(question.getAsJsonObject(), asker);
    }
    checkReads(JsonMessages.objectOrEmpty(test, "reads"), asker.arm());
  }

  private static void checkEval(JsonObject question, podium.v1.ArmResult arm, Asker asker) {
    String name = question.get("name").getAsString();
    var found =
        question.has("step")
            ? asker.eval(name, Long.parseLong(question.get("step").getAsString()))
            : asker.eval(name);
    JsonElement row = question.get("row");
    var expected = row.isJsonNull() ? Optional.empty() : Optional.of(arm.getEvals(row.getAsInt()));
    Checks.equal(expected, found, question);
  }

  private static void checkScore(JsonObject question, Asker asker) {
    if (question.has("error")) {
      Checks.equal(question.get("error").getAsString(), errorOf(question, asker), question);
      return;
    }
    ScoreResponse expected = JsonMessages.read(question.get("answer"), ScoreResponse.newBuilder());
    var found = ScoreResponse.newBuilder();
    asker
        .findScore(question.get("metric").getAsString())
        .ifPresent(score -> found.setValue(score.value()).setSource(score.source()));
    Checks.equal(expected, found.build(), question);
  }

  private static String errorOf(JsonObject question, Asker asker) {
    try {
      asker.findScore(question.get("metric").getAsString());
      return "";
    } catch (PodiumException error) {
      return error.code().name();
    }
  }

  private static void checkReads(JsonObject reads, ArmResult arm) {
    var found =
        podium.v1.ArmResult.newBuilder()
            .putAllEvalMetrics(arm.evalMetrics())
            .putAllEvalBreakdowns(arm.evalBreakdowns());
    arm.evalSeconds().ifPresent(found::setEvalSeconds);
    podium.v1.ArmResult expected = JsonMessages.read(reads, podium.v1.ArmResult.newBuilder());
    for (String name : new TreeMap<>(reads.asMap()).keySet()) {
      var field = JsonMessages.field(expected, name);
      Checks.equal(Checks.only(expected, field), Checks.only(found.build(), field), name);
    }
  }

  private static JsonArray arrayOrEmpty(JsonObject json, String name) {
    return json.has(name) ? json.getAsJsonArray(name) : new JsonArray();
  }
}
