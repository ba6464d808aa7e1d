package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Status;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.protobuf.services.HealthStatusManager;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Clients with the addresses of several servers. */
class AddressesTest extends FailingServer {
  /** White space and repetitions are left out, and a malformed address is named. */
  @Test
  void lists() {
    assertEquals(List.of("one:1", "[::1]:2"), Addresses.of(" one:1, [::1]:2,one:1\n"));
    assertEquals(List.of("unix:/run/a,b"), Addresses.of("unix:/run/a,b"));
    assertEquals(List.of("dns:///one:1"), Addresses.of("dns:///one:1"));
    Map.of(
            "one:1,two", "two",
            "one:1,", "",
            "one:1,unix:/run/podium.sock", "unix:/run/podium.sock",
            "one:1,two:65536", "two:65536",
            "one:65536", "one:65536")
        .forEach(
            (list, bad) -> {
              var error =
                  assertThrows(IllegalArgumentException.class, () -> Client.connect(list).close());
              var text = "an address is HOST:PORT or unix:PATH, not '%s'".formatted(bad);
              assertEquals(text, error.getMessage());
            });
  }

  /** A server whose health service says that it does not serve gets no calls. */
  @Test
  void anUnhealthyServer() throws IOException {
    var health = new HealthStatusManager();
    health.setStatus("", ServingStatus.NOT_SERVING);
    var unhealthy =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(health.getHealthService())
            .build()
            .start();
    // The name has an address of version 6 too, where nobody listens.
    var list = "127.0.0.1:%d,localhost:%d".formatted(unhealthy.getPort(), server.getPort());
    try (var several = builder().address(list).build()) {
      for (int call = 1; call <= 4; call++) {
        // The unhealthy server would answer that it is no Podium server.
        assertEquals(call, several.arm("e", "a").score("m").getAsDouble());
      }
    } finally {
      unhealthy.shutdownNow();
    }
  }

  /** A call that a stopping server rejects is sent to the other server at once. */
  @Test
  void aStoppingServer() throws IOException {
    failures = 1;
    failure = refusal(Status.UNAVAILABLE, "SHUTTING_DOWN", Duration.ofHours(1));
    var list = "127.0.0.1:%1$d,localhost:%1$d".formatted(server.getPort());
    try (var several = builder().address(list).build()) {
      several.experiment("e").declare();
    }
    assertEquals(2, calls.get());
  }

  /** If no server answers, the error names all addresses. */
  @Test
  void nobodyThere() throws IOException {
    String list;
    try (var one = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        var other = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      list = "127.0.0.1:" + one.getLocalPort() + ",127.0.0.1:" + other.getLocalPort();
    }
    try (var absent = Client.connect(list)) {
      var experiment = absent.experiment("e");
      var error = assertThrows(PodiumException.Unavailable.class, experiment::declare);
      assertTrue(error.getMessage().startsWith("no Podium server answers at " + list));
      assertFalse(error.getMessage().contains("unknown"), error.getMessage());
    }
  }
}
