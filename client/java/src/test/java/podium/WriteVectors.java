package podium;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.PrototypeMarshaller;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import podium.v1.RecordingServiceGrpc;
import podium.v1.ResultsServiceGrpc;

/** The vectors of writes: calls to a server, one after the other. */
final class WriteVectors {
  private static final Set<String> WHOLE = Set.of("podium.v1.Value", "google.protobuf.Timestamp");

  private WriteVectors() {}

  static void overTheWire(JsonObject test, Client client, String experiment) {
    JsonArray steps = test.getAsJsonArray("steps");
    for (int index = 0; index < steps.size(); index++) {
      step(steps.get(index).getAsJsonObject(), client, experiment, "step " + index);
    }
  }

  private static void step(JsonObject step, Client client, String experiment, String where) {
    var method = method(step.get("call").getAsString());
    JsonObject json = JsonMessages.objectOrEmpty(step, "request").deepCopy();
    if (!json.has("experiment")) {
      json.addProperty("experiment", experiment);
    }
    Message request = JsonMessages.read(json, prototype(method).newBuilderForType());
    Message response;
    try {
      response = client.call(method, request);
    } catch (PodiumException error) {
      if (!step.has("refused")) {
        throw new AssertionError(where + ": " + error.reason() + ": " + error.getMessage(), error);
      }
      checkRefusal(step.getAsJsonObject("refused"), error, where);
      return;
    }
    if (step.has("refused")) {
      throw new AssertionError(where + ": was not refused: " + response);
    }
    check(JsonMessages.objectOrEmpty(step, "response"), response, where);
  }

  @SuppressWarnings("unchecked")
  private static MethodDescriptor<Message, Message> method(String name) {
    return Stream.of(
            RecordingServiceGrpc.getServiceDescriptor(), ResultsServiceGrpc.getServiceDescriptor())
        .flatMap(service -> service.getMethods().stream())
        .filter(method -> name.equals(method.getBareMethodName()))
        .map(method -> (MethodDescriptor<Message, Message>) method)
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("there is no call " + name));
  }

  private static Message prototype(MethodDescriptor<Message, Message> method) {
    var marshaller = (PrototypeMarshaller<Message>) method.getRequestMarshaller();
    return marshaller.getMessagePrototype();
  }

  private static void checkRefusal(JsonObject expected, PodiumException error, String where) {
    Checks.equal(expected.get("reason").getAsString(), error.reason(), where);
    Checks.equal(expected.get("code").getAsString(), error.code().name(), where);
    JsonMessages.objectOrEmpty(expected, "metadata")
        .entrySet()
        .forEach(
            entry ->
                Checks.equal(
                    entry.getValue().getAsString(),
                    String.valueOf(error.metadata().get(entry.getKey())),
                    where + ": " + entry.getKey()));
    if (expected.has("text")) {
      for (JsonElement part : expected.getAsJsonArray("text")) {
        Checks.equal(
            true,
            error.getMessage().contains(part.getAsString()),
            where + ": " + error.getMessage());
      }
    }
    Checks.equal(reasons(expected, "permanent"), refusals(error, true), where + ": permanent");
    Checks.equal(reasons(expected, "wait"), refusals(error, false), where + ": wait");
  }

  private static TreeMap<Integer, String> reasons(JsonObject expected, String kind) {
    var reasons = new TreeMap<Integer, String>();
    JsonMessages.objectOrEmpty(expected, kind)
        .entrySet()
        .forEach(e -> reasons.put(Integer.parseInt(e.getKey()), e.getValue().getAsString()));
    return reasons;
  }

  private static TreeMap<Integer, String> refusals(PodiumException error, boolean permanent) {
    var reasons = new TreeMap<Integer, String>();
    error.refusals().stream()
        .filter(event -> event.permanent() == permanent)
        .forEach(event -> reasons.put(event.index(), event.reason()));
    return reasons;
  }

  /** Holds the fields that are named against a message; null stands for unset. */
  static void check(JsonObject expected, Message found, String where) {
    for (var entry : expected.entrySet()) {
      FieldDescriptor field = JsonMessages.field(found, entry.getKey());
      String here = where + ": " + entry.getKey();
      if (entry.getValue().isJsonNull()) {
        Checks.equal(found.newBuilderForType().build(), Checks.only(found, field), here);
      } else if (isStatistic(field)) {
        checkStatistic(entry.getValue().getAsDouble(), (Double) found.getField(field), here);
      } else if (isPartial(field)) {
        checkMessages(entry.getValue(), field, found, here);
      } else {
        var wanted = new JsonObject();
        wanted.add(entry.getKey(), entry.getValue());
        Message message = JsonMessages.read(wanted, found.newBuilderForType());
        Checks.equal(message, Checks.only(found, field), here);
      }
    }
  }

  /** Whether a number is computed from several: it may differ by rounding. */
  private static boolean isStatistic(FieldDescriptor field) {
    return field.getContainingType().getFullName().equals("podium.v1.ScoreStatistics")
        && field.getJavaType() == FieldDescriptor.JavaType.DOUBLE;
  }

  private static void checkStatistic(double expected, double found, String where) {
    if (found != expected && !(Math.abs(found - expected) <= 1e-9 * Math.abs(expected))) {
      throw new AssertionError(where + ": " + found + " instead of " + expected);
    }
  }

  /** Whether only the fields that are named of a message are compared. */
  private static boolean isPartial(FieldDescriptor field) {
    return field.getJavaType() == FieldDescriptor.JavaType.MESSAGE
        && !field.isMapField()
        && !WHOLE.contains(field.getMessageType().getFullName());
  }

  private static void checkMessages(
      JsonElement expected, FieldDescriptor field, Message found, String where) {
    if (!field.isRepeated()) {
      check(expected.getAsJsonObject(), (Message) found.getField(field), where);
      return;
    }
    List<?> messages = (List<?>) found.getField(field);
    Checks.equal(expected.getAsJsonArray().size(), messages.size(), where + ": how many");
    for (int index = 0; index < messages.size(); index++) {
      JsonObject wanted = expected.getAsJsonArray().get(index).getAsJsonObject();
      check(wanted, (Message) messages.get(index), where + "[" + index + "]");
    }
  }
}
