package podium;

import io.grpc.CallCredentials;
import io.grpc.Metadata;
import io.grpc.Status;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executor;

/** Adds a token to each call. */
final class TokenCredentials extends CallCredentials {
  private static final Metadata.Key<String> HEADER =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final String token;
  private final Path file;

  /**
   * Makes the credentials of a token.
   *
   * @param token the token, or null to read it from the file
   * @param file a file with the token, which is read for each call
   */
  TokenCredentials(String token, Path file) {
    this.token = token;
    this.file = file;
  }

  /** Returns the credentials of the environment variables, or null if there is no token. */
  static TokenCredentials fromEnvironment() {
    String token = Environment.variable("PODIUM_TOKEN");
    String file = Environment.variable("PODIUM_TOKEN_FILE");
    if (!token.isEmpty()) {
      return new TokenCredentials(token, null);
    }
    return file.isEmpty() ? null : new TokenCredentials(null, Path.of(file));
  }

  @Override
  public void applyRequestMetadata(
      RequestInfo request, Executor executor, MetadataApplier applier) {
    executor.execute(() -> apply(applier));
  }

  private void apply(MetadataApplier applier) {
    try {
      String text = token == null ? Files.readString(file) : token;
      var headers = new Metadata();
      headers.put(HEADER, "Bearer " + text.strip());
      applier.apply(headers);
    } catch (IOException error) {
      var text = "the token's file " + file + " cannot be read: " + error;
      applier.fail(Status.UNAUTHENTICATED.withDescription(text));
    }
  }
}
