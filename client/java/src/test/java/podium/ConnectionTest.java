package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import podium.v1.RecordRequest;
import podium.v1.RecordingServiceGrpc;
import podium.v1.Refusal;
import podium.v1.Refusals;

/** Deadlines, cancellation and errors of calls to servers that fail. */
class ConnectionTest extends FailingServer {
  /** To cancel the future of a call cancels the call. */
  @Test
  void asynchronousCallsAreCancelled() throws InterruptedException {
    var experiment = RecordRequest.newBuilder().setExperiment("e").build();
    var answer = client.callAsync(RecordingServiceGrpc.getRecordMethod(), experiment);
    while (calls.get() == 0) {
      Thread.sleep(5);
    }
    answer.cancel(true);
    assertTrue(answer.isCancelled());
    assertTrue(cancelled.await(60, TimeUnit.SECONDS));
  }

  /** A server that never answers is given up at the deadline: the client's, or that of a call. */
  @Test
  void deadlines() {
    try (var hasty = builder().writeTimeout(Duration.ofMillis(300)).build()) {
      assertGivenUp(hasty, "did not answer within 0.3 s: whether it was stored");
    }
    assertGivenUp(client.withTimeout(Duration.ofMillis(50)), "did not answer within 0.05 s");
    assertThrows(IllegalArgumentException.class, () -> client.withTimeout(Duration.ZERO));
  }

  private static void assertGivenUp(Client hasty, String text) {
    var experiment = hasty.experiment("e");
    var error = assertThrows(PodiumException.DeadlineExceeded.class, experiment::declare);
    assertTrue(error.getMessage().contains(text), error.getMessage());
  }

  /** An arm that changes between its pages is read anew. */
  @Test
  void anArmThatChanges() {
    ArmSnapshot arm = client.arm("e", "a").get();
    assertEquals(3, calls.get());
    assertEquals(1, arm.evals().size());
  }

  /** An arm that never holds still is an error that says so. */
  @Test
  void anArmThatKeepsChanging() {
    var error = assertThrows(PodiumException.Aborted.class, () -> client.arm("e", "busy").get());
    assertEquals(5, calls.get());
    assertTrue(error.getMessage().contains("'busy' of 'e' changed 5 times"), error.getMessage());
  }

  /** Nobody at the address is an error that names it. A write never left, so it was not stored. */
  @Test
  void nobodyThere() throws IOException {
    int port;
    try (var free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      port = free.getLocalPort();
    }
    for (var address : List.of("127.0.0.1:" + port, "unix:/tmp/podium-nobody-listens-here")) {
      try (var absent = Client.connect(address)) {
        var experiment = absent.experiment("e");
        var error = assertThrows(PodiumException.Unavailable.class, experiment::declare);
        assertTrue(error.getMessage().startsWith("no Podium server answers at " + address));
        assertFalse(error.getMessage().contains("unknown"), error.getMessage());
      }
    }
  }

  /** A server that is no Podium is named as such. */
  @Test
  void anotherServer() {
    var error = assertThrows(PodiumException.class, () -> client.experiment("e").delete(false));
    assertEquals(Status.Code.UNIMPLEMENTED, error.code());
    assertTrue(error.getMessage().contains("without podium.v1.RecordingService/DeleteExperiment"));
  }

  /** A client that is closed says so; nothing is sent. */
  @Test
  void closed() {
    client.close();
    assertThrows(IllegalStateException.class, () -> client.arm("e", "a").score("m"));
    assertEquals(0, calls.get());
  }

  /** A thread that is interrupted waits no longer, and stays interrupted. */
  @Test
  void interruption() throws InterruptedException {
    var patient = client.withTimeout(Duration.ofMinutes(5)).experiment("e");
    var failed = new CompletableFuture<Status.Code>();
    var waiting =
        new Thread(
            () -> {
              var error = assertThrows(PodiumException.class, patient::declare);
              failed.complete(Thread.interrupted() ? error.code() : Status.Code.OK);
            });
    waiting.start();
    waiting.interrupt();
    assertEquals(Status.Code.CANCELLED, failed.orTimeout(60, TimeUnit.SECONDS).join());
    waiting.join();
  }

  /** A server that stops cancels what has just arrived: for the caller, it is not there. */
  @Test
  void cancelledByTheServer() {
    failures = 1;
    failure = failure(Status.CANCELLED, "stopping");
    var error =
        assertThrows(PodiumException.Unavailable.class, () -> client.experiment("e").declare());
    assertTrue(error.getMessage().contains("(stopping): whether it was stored is unknown"));
  }

  /** A code that a server says has the class of that code. */
  @Test
  void aborted() {
    failures = 1;
    failure = failure(Status.ABORTED, "busy");
    assertThrows(PodiumException.Aborted.class, () -> client.arm("e", "a").score("m"));
  }

  /** A refusal of a kind that this version does not know is final: waiting may never end. */
  @Test
  void anUnknownKindOfRefusal() {
    failures = 1;
    var refusal = Refusal.newBuilder().setKindValue(99).setReason("NEWER").addEventIndexes(0);
    var status =
        com.google.rpc.Status.newBuilder()
            .setCode(Status.Code.FAILED_PRECONDITION.value())
            .addDetails(Any.pack(Refusals.newBuilder().addRefusals(refusal).build()))
            .build();
    failure = StatusProto.toStatusRuntimeException(status);
    var error =
        assertThrows(
            PodiumException.FailedPrecondition.class, () -> client.experiment("e").declare());
    assertEquals(new RefusedEvent(0, "NEWER", true, ""), error.refusals().get(0));
  }

  /** Credentials and interceptors go with each call. */
  @Test
  void tokens() {
    var attach = MetadataUtils.newAttachHeadersInterceptor(headers());
    try (Client known = builder().intercept(attach).build()) {
      known.arm("e", "a").score("m");
    }
    assertEquals("Bearer x", token);
    assertTrue(agent.startsWith("podium-java/0."), agent);
  }

  private static Metadata headers() {
    var headers = new Metadata();
    headers.put(TOKEN, "Bearer x");
    return headers;
  }

  /** What is no address, or no time, is refused at once. */
  @Test
  void badArguments() {
    assertThrows(IllegalArgumentException.class, () -> Client.connect("localhost"));
    assertThrows(IllegalArgumentException.class, () -> Client.connect("http://localhost:1"));
    assertThrows(
        IllegalArgumentException.class, () -> builder().readTimeout(Duration.ZERO).build());
  }
}
