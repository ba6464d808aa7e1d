package podium;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.Message;
import io.grpc.MethodDescriptor;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import podium.v1.EvalRequest;
import podium.v1.EvalResponse;
import podium.v1.EvalResult;
import podium.v1.Event;
import podium.v1.GetArmRequest;
import podium.v1.GetArmResponse;
import podium.v1.GetExperimentRequest;
import podium.v1.GetExperimentResponse;
import podium.v1.RankRequest;
import podium.v1.RecordRequest;
import podium.v1.RecordResponse;
import podium.v1.RecordingServiceGrpc;
import podium.v1.ResultsServiceGrpc;
import podium.v1.ScoreRequest;
import podium.v1.ScoreResponse;
import podium.v1.ScoresRequest;
import podium.v1.WatchRequest;

/**
 * Answers each request that it reads with what this client answers: see tests/conformance/README.md
 * of the project.
 */
final class ConformanceRunner {
  private static final Gson JSON = new Gson();

  private final Map<String, Client> clients = new HashMap<>();

  /** The newest attempt of each arm, by the names of the experiment and the arm. */
  private final Map<List<String>, ArmRun> attempts = new HashMap<>();

  private ConformanceRunner() {}

  /** Answers one request after the other, until there are no more. */
  public static void main(String[] arguments) throws IOException {
    var runner = new ConformanceRunner();
    var printer = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      printer.println(JSON.toJson(runner.answer(JsonParser.parseString(line).getAsJsonObject())));
    }
    runner.clients.values().forEach(Client::close);
  }

  private Map<String, Object> answer(JsonObject asked) throws IOException {
    if (asked.get("call").getAsString().equals("Watch")) {
      return watched(asked);
    }
    try {
      return Map.of("response", base64(respond(asked)));
    } catch (PodiumException error) {
      return Map.of("error", said(error));
    }
  }

  /** The updates of a watch, or as many as are asked for, and the error that ends it. */
  private Map<String, Object> watched(JsonObject asked) throws IOException {
    var request = WatchRequest.parseFrom(bytes(asked, "request"));
    var experiment = client(asked).experiment(request.getExperiment());
    List<String> responses = new ArrayList<>();
    try (Watch watch = experiment.watch(request)) {
      while (watch.hasNext()) {
        responses.add(base64(watch.next()));
        if (responses.size() == asked.get("take").getAsInt()) {
          break;
        }
      }
    } catch (PodiumException error) {
      return Map.of("responses", responses, "error", said(error));
    }
    return Map.of("responses", responses);
  }

  private static String base64(Message message) {
    return Base64.getEncoder().encodeToString(message.toByteArray());
  }

  private Client client(JsonObject asked) {
    var client = clients.computeIfAbsent(asked.get("address").getAsString(), Client::connect);
    return asked.has("timeout_ms")
        ? client.withTimeout(Duration.ofMillis(asked.get("timeout_ms").getAsLong()))
        : client;
  }

  private static Map<String, Object> said(PodiumException error) {
    List<Map<String, Object>> refusals =
        error.refusals().stream().map(ConformanceRunner::said).toList();
    return Map.of(
        "code", error.code().name(),
        "reason", error.reason(),
        "message", error.getMessage(),
        "metadata", error.metadata(),
        "refusals", refusals);
  }

  private static Map<String, Object> said(RefusedEvent event) {
    return Map.of(
        "index", event.index(),
        "reason", event.reason(),
        "permanent", event.permanent(),
        "message", event.message());
  }

  private Message respond(JsonObject asked) throws IOException {
    String call = asked.get("call").getAsString();
    var method =
        Stream.of(ResultsServiceGrpc.getServiceDescriptor(), RecordingServiceGrpc.getServiceDescriptor())
            .flatMap(service -> service.getMethods().stream())
            .filter(one -> call.equals(one.getBareMethodName()))
            .findFirst()
            .orElseThrow();
    var request = (Message) method.parseRequest(bytes(asked, "request"));
    if (asked.has("protocol")) {
      boolean isJson = asked.get("protocol").getAsString().equals("connect-json");
      return ConnectCalls.call(asked.get("address").getAsString(), isJson, method, request);
    }
    String way = asked.get("way").getAsString();
    if (way.equals("pure")) {
      return askArm(ArmSnapshot.of(podium.v1.ArmResult.parseFrom(bytes(asked, "arm"))), request);
    }
    var client = client(asked);
    return switch (way) {
      case "client" -> askClient(client, request);
      case "attempt" -> recordAttempt(client, (RecordRequest) request);
      default -> callStub(client, method, request);
    };
  }

  /** Records an event by the handle of its arm's newest attempt. */
  private Message recordAttempt(Client client, RecordRequest request) {
    var experiment = client.experiment(request.getExperiment());
    Event event = request.getEvents(0);
    if (event.hasArmStarted()) {
      var started = event.getArmStarted();
      ArmRun run = experiment.startArm(started.getRunConfig(), started);
      attempts.put(List.of(experiment.name(), run.arm().name()), run);
    } else if (event.hasMetricsRecorded()) {
      var recorded = event.getMetricsRecorded();
      ArmRun run = attempts.get(List.of(experiment.name(), recorded.getArm()));
      if (recorded.hasStep()) {
        run.log(recorded.getMetricsMap(), recorded.getStep());
      } else {
        run.log(recorded.getMetricsMap());
      }
    } else if (event.hasEvalRecorded()) {
      var recorded = event.getEvalRecorded();
      attempts
          .get(List.of(experiment.name(), recorded.getArm()))
          .logEval(recorded.getEvalResult());
    } else {
      var finished = event.getArmFinished();
      attempts.get(List.of(experiment.name(), finished.getArm())).finish(finished);
    }
    return RecordResponse.getDefaultInstance();
  }

  private static InputStream bytes(JsonObject asked, String name) {
    return new ByteArrayInputStream(Base64.getDecoder().decode(asked.get(name).getAsString()));
  }

  private static Message askArm(ArmSnapshot arm, Message request) {
    if (request instanceof EvalRequest asked) {
      String name = asked.getName();
      return row(asked.hasStep() ? arm.eval(name, asked.getStep()) : arm.eval(name));
    }
    if (request instanceof ScoreRequest asked) {
      return score(arm.findScore(asked.getMetric()));
    }
    return whole(arm);
  }

  private static Message askClient(Client client, Message request) {
    if (request instanceof EvalRequest asked) {
      var arm = client.arm(asked.getExperiment(), asked.getArm());
      String name = asked.getName();
      return row(asked.hasStep() ? arm.eval(name, asked.getStep()) : arm.eval(name));
    }
    if (request instanceof ScoreRequest asked) {
      return score(client.arm(asked.getExperiment(), asked.getArm()).findScore(asked.getMetric()));
    }
    if (request instanceof GetArmRequest asked) {
      return whole(client.arm(asked.getExperiment(), asked.getArm()).get());
    }
    if (request instanceof GetExperimentRequest asked) {
      var found = client.experiment(asked.getExperiment()).get();
      return GetExperimentResponse.newBuilder().setExperiment(found).build();
    }
    if (request instanceof RankRequest asked) {
      return client.experiment(asked.getExperiment()).rank(asked);
    }
    if (request instanceof ScoresRequest asked) {
      return client.experiment(asked.getExperiment()).scores(asked);
    }
    var recorded = (RecordRequest) request;
    return client.experiment(recorded.getExperiment()).record(recorded.getEventsList());
  }

  /** Makes a call of either service as it is. */
  @SuppressWarnings("unchecked")
  private static Message callStub(Client client, MethodDescriptor<?, ?> method, Message request) {
    return client.call((MethodDescriptor<Message, Message>) method, request);
  }

  private static Message row(Optional<EvalResult> row) {
    var response = EvalResponse.newBuilder();
    row.ifPresent(response::setEvalResult);
    return response.build();
  }

  private static Message score(Optional<Score> score) {
    var response = ScoreResponse.newBuilder();
    score.ifPresent(found -> response.setValue(found.value()).setSource(found.source()));
    return response.build();
  }

  /** An arm as it reads, with the mirrors of its primary eval. */
  private static Message whole(ArmSnapshot arm) {
    var read =
        arm.message().toBuilder()
            .putAllEvalMetrics(arm.evalMetrics())
            .putAllEvalBreakdowns(arm.evalBreakdowns());
    arm.evalSeconds().ifPresent(read::setEvalSeconds);
    return GetArmResponse.newBuilder().setArmResult(read).build();
  }
}
