package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import podium.v1.GetArmRequest;
import podium.v1.GetArmResponse;
import podium.v1.ListEvalsRequest;
import podium.v1.ListEvalsResponse;
import podium.v1.RecordRequest;
import podium.v1.RecordResponse;
import podium.v1.RecordingServiceGrpc;
import podium.v1.ResultsServiceGrpc;
import podium.v1.ScoreRequest;
import podium.v1.ScoreResponse;

/** What the client makes of servers that fail, which a real one does not do when asked to. */
class ConnectionTest {
  private final AtomicInteger calls = new AtomicInteger();
  private int failures;
  private Server server;
  private Client client;

  @BeforeEach
  void start() throws IOException {
    server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(new Results())
            .addService(new Recording())
            .build()
            .start();
    client =
        Client.connect(
            "127.0.0.1:" + server.getPort(), Duration.ofSeconds(5), Duration.ofMillis(300));
  }

  @AfterEach
  void stop() {
    client.close();
    server.shutdownNow();
  }

  /** Says how often it was asked, as a score, once it has failed often enough. */
  private final class Results extends ResultsServiceGrpc.ResultsServiceImplBase {
    @Override
    public void score(ScoreRequest request, StreamObserver<ScoreResponse> observer) {
      answer(observer, ScoreResponse.newBuilder().setValue(calls.incrementAndGet()).build());
    }

    @Override
    public void getArm(GetArmRequest request, StreamObserver<GetArmResponse> observer) {
      var response = GetArmResponse.newBuilder().setNextEvalsPageToken("next");
      response.getArmResultBuilder().setName(request.getArm()).setRevision(calls.incrementAndGet());
      answer(observer, response.build());
    }

    /** A page of the state before, until the arm was got three times. */
    @Override
    public void listEvals(ListEvalsRequest request, StreamObserver<ListEvalsResponse> observer) {
      var page =
          ListEvalsResponse.newBuilder().setRevision(request.getArm().equals("busy") ? 0 : 3);
      page.addEvalsBuilder().setName("val");
      answer(observer, page.build());
    }
  }

  private final class Recording extends RecordingServiceGrpc.RecordingServiceImplBase {
    @Override
    public void record(RecordRequest request, StreamObserver<RecordResponse> observer) {
      calls.incrementAndGet();
      if (failures > 0) {
        answer(observer, RecordResponse.getDefaultInstance());
      } // Else never.
    }
  }

  private <T> void answer(StreamObserver<T> observer, T response) {
    if (calls.get() <= failures) {
      observer.onError(Status.UNAVAILABLE.withDescription("starting").asRuntimeException());
    } else {
      observer.onNext(response);
      observer.onCompleted();
    }
  }

  /** A read is repeated while the server is unavailable, five times in all. */
  @Test
  void readsAreRepeated() {
    failures = 4;
    assertEquals(5, client.arm("e", "a").score("m").getAsDouble());
  }

  /** After five attempts a read fails, and says what to do. */
  @Test
  void readsAreGivenUp() {
    failures = 5;
    var error =
        assertThrows(PodiumException.Unavailable.class, () -> client.arm("e", "a").score("m"));
    assertEquals(5, calls.get());
    assertTrue(error.getMessage().startsWith("no Podium server answers at 127.0.0.1:"));
    assertTrue(error.getMessage().endsWith("give the right address (starting)"));
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

  /** A server that never answers is given up at the deadline. */
  @Test
  void deadlines() {
    var error =
        assertThrows(
            PodiumException.DeadlineExceeded.class, () -> client.experiment("e").declare());
    assertTrue(error.getMessage().contains("did not answer within 0.3 s: whether it was stored"));
  }

  /** An arm that changes between its pages is read anew. */
  @Test
  void anArmThatChanges() {
    ArmResult arm = client.arm("e", "a").get();
    assertEquals(3, calls.get());
    assertEquals(1, arm.evals().size());
  }

  /** An arm that never holds still is an error that says so. */
  @Test
  void anArmThatKeepsChanging() {
    var error = assertThrows(PodiumException.Aborted.class, () -> client.arm("e", "busy").get());
    assertEquals(5, calls.get());
    assertTrue(error.getMessage().contains("'busy' of 'e' changed 5 times"));
  }

  /** Nobody at the address is an error that names it. */
  @Test
  void nobodyThere() {
    server.shutdownNow();
    var error =
        assertThrows(PodiumException.Unavailable.class, () -> client.experiment("e").declare());
    assertTrue(error.getMessage().startsWith("no Podium server answers at 127.0.0.1:"));
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

  /** What is no address, or no time, is refused at once. */
  @Test
  void badArguments() {
    assertThrows(IllegalArgumentException.class, () -> Client.connect("localhost"));
    assertThrows(IllegalArgumentException.class, () -> Client.connect("http://localhost:1"));
    assertThrows(
        IllegalArgumentException.class,
        () -> Client.connect("localhost:1", Duration.ZERO, Duration.ofSeconds(1)));
  }
}
