package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.grpc.Status;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** TLS and tokens, with the server that PODIUM_SECURE_ADDRESS names. */
class SecureTest {
  private static final String ADDRESS = System.getenv("PODIUM_SECURE_ADDRESS");

  @BeforeEach
  void needsServer() {
    assumeTrue(ADDRESS != null, "the project's conformance tests start such a server");
  }

  private static Path file(String name) {
    return Path.of(System.getenv("PODIUM_SECURE_FILES"), name);
  }

  private static Client.Builder builder() {
    return builder("ca.pem");
  }

  private static Client.Builder builder(String ca) {
    var tls = new Tls(file(ca), file("client.pem"), file("client.key"));
    return Client.builder().address(ADDRESS).tls(tls);
  }

  private static PodiumException errorOf(Client.Builder builder) {
    try (Client client = builder.build()) {
      return assertThrows(PodiumException.class, () -> client.experiment("secure").get());
    }
  }

  /** A client with the files and a token, given as text or as a file, reads and writes. */
  @Test
  void tlsAndTokens() throws IOException {
    for (var builder :
        new Client.Builder[] {
          builder().token(Files.readString(file("token"))), builder().tokenFile(file("token"))
        }) {
      try (Client client = builder.build()) {
        client.experiment("secure").declare();
        assertEquals("secure", client.experiment("secure").get().getName());
        assertEquals("tests", client.whoami().orElseThrow().getName());
      }
    }
  }

  /** Without a token the server refuses the call, and a file that is missing is named. */
  @Test
  void aTokenIsNeeded() {
    assertEquals(Status.Code.UNAUTHENTICATED, errorOf(builder()).code());
    var error = errorOf(builder().tokenFile(file("missing")));
    assertEquals(Status.Code.UNAUTHENTICATED, error.code());
    assertTrue(error.getMessage().contains("missing"), error.getMessage());
  }

  /** A server whose certificate another authority issued gets nothing. */
  @Test
  void otherAuthoritiesAreRefused() {
    var error = errorOf(builder("other.pem").readTimeout(Duration.ofSeconds(1)));
    // On a busy machine the second can pass before the first handshake has failed.
    var codes = Set.of(Status.Code.UNAVAILABLE, Status.Code.DEADLINE_EXCEEDED);
    assertTrue(codes.contains(error.code()), error.getMessage());
  }

  /** Files that cannot be used are errors of the client, before it connects. */
  @Test
  void filesThatCannotBeUsed() {
    for (String name : new String[] {"missing", "token"}) {
      assertThrows(IllegalArgumentException.class, () -> builder(name).build());
    }
    assertThrows(IllegalArgumentException.class, () -> new Tls(null, file("client.pem"), null));
  }

  /** A token is not sent without encryption to another machine. */
  @Test
  void tokensAreKeptFromTheNetwork() {
    var error = errorOf(Client.builder().address("192.0.2.1:1").tls(null).token("pdm_x"));
    assertEquals(Status.Code.UNAUTHENTICATED, error.code(), error.getMessage());
    String text = "the token is not sent to 192.0.2.1:1 without encryption";
    assertTrue(error.getMessage().startsWith(text), error.getMessage());
  }
}
