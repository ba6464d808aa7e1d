package podium;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import podium.v1.Event;
import podium.v1.ExperimentDeclared;
import podium.v1.RankRequest;

/** The vectors of rankings: arms are recorded, and the client ranks them. */
final class RankVectors {
  private RankVectors() {}

  static void overTheWire(JsonObject test, Client client, String name) {
    ExperimentHandle experiment = client.experiment(name);
    record(test, experiment);
    for (JsonElement question : test.getAsJsonArray("ranks")) {
      ask(question.getAsJsonObject(), experiment);
    }
    if (test.has("conclusion")) {
      String status = test.getAsJsonObject("conclusion").get("status").getAsString();
      Checks.equal(status, experiment.get().getStatus().name(), "the status");
    }
  }

  private static void record(JsonObject test, ExperimentHandle experiment) {
    var events = new ArrayList<Event>();
    ExperimentDeclared declared =
        JsonMessages.read(test.get("experiment"), ExperimentDeclared.newBuilder());
    events.add(Events.declared(declared));
    for (JsonElement arm : test.getAsJsonArray("arms")) {
      podium.v1.ArmResult message = JsonMessages.read(arm, podium.v1.ArmResult.newBuilder());
      events.add(Events.recorded(message));
    }
    experiment.record(events);
  }

  private static void ask(JsonObject question, ExperimentHandle experiment) {
    RankRequest request = JsonMessages.read(question.get("request"), RankRequest.newBuilder());
    String where = request.toString();
    if (question.has("response")) {
      WriteVectors.check(question.getAsJsonObject("response"), experiment.rank(request), where);
      return;
    }
    try {
      throw new AssertionError(where + ": no error, but " + experiment.rank(request));
    } catch (PodiumException error) {
      JsonObject wanted = question.getAsJsonObject("error");
      Checks.equal(wanted.get("code").getAsString(), error.code().name(), where);
      Checks.equal(wanted.get("reason").getAsString(), error.reason(), where);
    }
  }
}
