package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import podium.v1.AccessServiceGrpc;
import podium.v1.CreateTokenRequest;
import podium.v1.StreamPosition;

/** Calls that are made again, and calls that are not. */
class RetriesTest extends FailingServer {
  /** A read is repeated while the server is unavailable. */
  @Test
  void readsAreRepeated() {
    failures = 3;
    assertEquals(4, client.arm("e", "a").score("m").getAsDouble());
  }

  /** A token is created by one call: a second one would create another token. */
  @Test
  void tokensAreCreatedOnce() {
    failures = 1;
    var request = CreateTokenRequest.newBuilder().setName("ci").build();
    assertThrows(
        PodiumException.Unavailable.class,
        () -> client.call(AccessServiceGrpc.getCreateTokenMethod(), request));
    assertEquals(1, calls.get());
  }

  /** A call without a waiting thread is repeated and fails as one with a thread. */
  @Test
  void asynchronousCalls() {
    failures = 3;
    ArmHandle arm = client.arm("e", "a");
    assertEquals(4, arm.findScoreAsync("m").join().orElseThrow().value());
    failures = 5;
    failure = failure(Status.ABORTED, "busy");
    var error = assertThrows(CompletionException.class, () -> arm.findScoreAsync("m").join());
    assertInstanceOf(PodiumException.Aborted.class, error.getCause());
    assertEquals(5, calls.get());
  }

  /** When its time is over a read fails, and says what the server said. */
  @Test
  void readsAreGivenUp() {
    failures = Integer.MAX_VALUE;
    failure = refusal(Status.UNAVAILABLE, "", Duration.ofHours(1));
    var error =
        assertThrows(PodiumException.Unavailable.class, () -> client.arm("e", "a").score("m"));
    assertEquals(1, calls.get());
    assertTrue(error.getMessage().startsWith("the connection to 127.0.0.1:"));
    assertTrue(error.getMessage().endsWith(" was lost during the call (starting)"));
  }

  /** An overloaded server refuses reads and writes, and is asked again when it wants to be. */
  @Test
  void overloadedServersAreAskedAgain() {
    failure = refusal(Status.RESOURCE_EXHAUSTED, "OVERLOADED", Duration.ofMillis(1));
    failures = 20;
    assertEquals(21, client.arm("e", "a").score("m").getAsDouble());
    failures = 41;
    client.experiment("e").declare();
    assertEquals(42, calls.get());
  }

  /** A server that stops refuses a write before it does anything, and is asked again. */
  @Test
  void stoppingServersAreAskedAgain() {
    failure = refusal(Status.UNAVAILABLE, "SHUTTING_DOWN", Duration.ofMillis(1));
    failures = 3;
    client.experiment("e").declare();
    assertEquals(4, calls.get());
  }

  /** A write with a place in a stream is repeated: the server applies it once. */
  @Test
  void positionedWritesAreRepeated() {
    failures = 3;
    var position = StreamPosition.newBuilder().setWriterId("w").setFirstSequence(1).build();
    client.experiment("e").record(List.of(Events.skipped()), position);
    assertEquals(4, calls.get());
  }

  /** A call is not repeated where the pause would end after its deadline. */
  @Test
  void nothingIsRepeatedAfterTheDeadline() {
    failures = 2;
    failure = refusal(Status.RESOURCE_EXHAUSTED, "OVERLOADED", Duration.ofHours(1));
    for (Executable call :
        List.<Executable>of(
            () -> client.arm("e", "a").score("m"), () -> client.experiment("e").declare())) {
      var error = assertThrows(PodiumException.ResourceExhausted.class, call);
      assertEquals("OVERLOADED", error.reason());
    }
    assertEquals(2, calls.get());
  }

  /** What stays as it is, such as a full disk, is no reason to repeat a call. */
  @Test
  void otherRefusalsAreFinal() {
    failures = 1;
    failure = refusal(Status.RESOURCE_EXHAUSTED, "STORAGE_FULL", Duration.ofMillis(1));
    assertThrows(
        PodiumException.ResourceExhausted.class, () -> client.arm("e", "a").score("m"));
    assertEquals(1, calls.get());
  }

  /** A write is not repeated: it may have been stored. */
  @Test
  void writesAreNotRepeated() {
    failures = 1;
    var error =
        assertThrows(PodiumException.Unavailable.class, () -> client.experiment("e").declare());
    assertEquals(1, calls.get());
    assertTrue(error.getMessage().endsWith("it is safe to send it again"));
  }

  /** A server that is lost is looked for by each call, however long it was away. */
  @Test
  void lostServersAreLookedForAgain() throws IOException {
    var connections = new AtomicInteger();
    try (var peer = new ServerSocket(0, 16, InetAddress.getLoopbackAddress());
        var lost = Client.connect("127.0.0.1:" + peer.getLocalPort())) {
      var hangingUp = new Thread(() -> hangUp(peer, connections));
      hangingUp.start();
      // gRPC by itself would make the eighth attempt after 40 s.
      assertTimeout(
          Duration.ofSeconds(30),
          () -> {
            while (connections.get() < 8) {
              assertThrows(
                  PodiumException.Unavailable.class, () -> lost.experiment("e").delete(true));
              Thread.sleep(20);
            }
          });
    }
  }

  private static void hangUp(ServerSocket peer, AtomicInteger connections) {
    try {
      while (true) {
        peer.accept().close();
        connections.incrementAndGet();
      }
    } catch (IOException closed) {
      // The test is over.
    }
  }
}
