package podium;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import com.google.rpc.Status;
import io.grpc.MethodDescriptor;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Locale;

/** Makes calls over HTTP in the protocol Connect, as JSON or in binary, with the generated messages. */
final class ConnectCalls {
  private static final HttpClient HTTP =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  private ConnectCalls() {}

  /** Returns the response to a call, or throws its error. */
  static Message call(
      String address, boolean isJson, MethodDescriptor<?, ?> method, Message request)
      throws IOException {
    HttpResponse<byte[]> answer =
        post(
            URI.create(address + "/" + method.getFullMethodName()),
            isJson ? "application/json" : "application/proto",
            isJson ? bytes(JsonFormat.printer().print(request)) : request.toByteArray());
    if (answer.statusCode() != 200) {
      throw failure(JsonParser.parseString(text(answer)).getAsJsonObject());
    }
    var response = ((Message) method.parseResponse(InputStream.nullInputStream())).toBuilder();
    if (isJson) {
      JsonFormat.parser().merge(text(answer), response);
    } else {
      response.mergeFrom(answer.body());
    }
    return response.build();
  }

  private static HttpResponse<byte[]> post(URI uri, String type, byte[] body) throws IOException {
    var request =
        HttpRequest.newBuilder(uri)
            .header("content-type", type)
            .POST(BodyPublishers.ofByteArray(body))
            .build();
    try {
      return HTTP.send(request, BodyHandlers.ofByteArray());
    } catch (InterruptedException error) {
      throw new IOException(error);
    }
  }

  private static PodiumException failure(JsonObject error) {
    String name = error.get("code").getAsString().toUpperCase(Locale.ROOT);
    var status =
        Status.newBuilder()
            .setCode(io.grpc.Status.Code.valueOf(name).value())
            .setMessage(error.get("message").getAsString());
    if (error.has("details")) {
      error.getAsJsonArray("details").forEach(detail -> status.addDetails(detail(detail)));
    }
    return Failures.read(StatusProto.toStatusRuntimeException(status.build())).exception();
  }

  private static Any detail(JsonElement element) {
    var detail = element.getAsJsonObject();
    byte[] value = Base64.getDecoder().decode(detail.get("value").getAsString());
    return Any.newBuilder()
        .setTypeUrl("type.googleapis.com/" + detail.get("type").getAsString())
        .setValue(ByteString.copyFrom(value))
        .build();
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static String text(HttpResponse<byte[]> answer) {
    return new String(answer.body(), StandardCharsets.UTF_8);
  }
}
