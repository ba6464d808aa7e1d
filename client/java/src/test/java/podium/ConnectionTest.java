package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import podium.v1.GetArmRequest;
import podium.v1.GetArmResponse;
import podium.v1.ListEvalsRequest;
import podium.v1.ListEvalsResponse;
import podium.v1.RecordRequest;
import podium.v1.RecordResponse;
import podium.v1.RecordingServiceGrpc;
import podium.v1.Refusal;
import podium.v1.Refusals;
import podium.v1.ResultsServiceGrpc;
import podium.v1.ScoreRequest;
import podium.v1.ScoreResponse;
import podium.v1.StreamPosition;

/** What the client makes of servers that fail, which a real one does not do when asked to. */
class ConnectionTest {
  private static final Metadata.Key<String> TOKEN =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private static final Metadata.Key<String> AGENT =
      Metadata.Key.of("user-agent", Metadata.ASCII_STRING_MARSHALLER);

  private final AtomicInteger calls = new AtomicInteger();
  private final CountDownLatch cancelled = new CountDownLatch(1);
  private int failures;
  private StatusRuntimeException failure = failure(Status.UNAVAILABLE, "starting");
  private volatile String token;
  private volatile String agent;
  private io.grpc.Server server;
  private Client client;

  @BeforeEach
  void start() throws IOException {
    server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(new Results())
            .addService(new Recording())
            .intercept(new TokenReader())
            .build()
            .start();
    client = builder().build();
  }

  private Client.Builder builder() {
    return Client.builder()
        .address("127.0.0.1:" + server.getPort())
        .readTimeout(Duration.ofMinutes(1))
        .writeTimeout(Duration.ofMinutes(1));
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

  /** Notes the token of each call. */
  private final class TokenReader implements ServerInterceptor {
    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
      token = headers.get(TOKEN);
      agent = headers.get(AGENT);
      return next.startCall(call, headers);
    }
  }

  private final class Recording extends RecordingServiceGrpc.RecordingServiceImplBase {
    @Override
    public void record(RecordRequest request, StreamObserver<RecordResponse> observer) {
      ((ServerCallStreamObserver<RecordResponse>) observer).setOnCancelHandler(cancelled::countDown);
      calls.incrementAndGet();
      if (failures > 0) {
        answer(observer, RecordResponse.getDefaultInstance());
      } // Else never.
    }
  }

  private static StatusRuntimeException failure(Status status, String text) {
    return status.withDescription(text).asRuntimeException();
  }

  private <T> void answer(StreamObserver<T> observer, T response) {
    if (calls.get() <= failures) {
      observer.onError(failure);
    } else {
      observer.onNext(response);
      observer.onCompleted();
    }
  }

  /** A read is repeated while the server is unavailable. */
  @Test
  void readsAreRepeated() {
    failures = 3;
    assertEquals(4, client.arm("e", "a").score("m").getAsDouble());
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

  /** When its time is over a read fails, and says what to do. */
  @Test
  void readsAreGivenUp() {
    failures = Integer.MAX_VALUE;
    failure = refusal(Status.UNAVAILABLE, "", Duration.ofHours(1));
    var error =
        assertThrows(PodiumException.Unavailable.class, () -> client.arm("e", "a").score("m"));
    assertEquals(1, calls.get());
    assertTrue(error.getMessage().startsWith("no Podium server answers at 127.0.0.1:"));
    assertTrue(error.getMessage().endsWith("give the right address (starting)"));
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

  /** An error as a server says it that asks to wait before the call is made again. */
  private static StatusRuntimeException refusal(Status code, String reason, Duration delay) {
    var wait = com.google.protobuf.Duration.newBuilder();
    wait.setSeconds(delay.getSeconds()).setNanos(delay.getNano());
    var status =
        com.google.rpc.Status.newBuilder()
            .setCode(code.getCode().value())
            .setMessage("starting")
            .addDetails(Any.pack(ErrorInfo.newBuilder().setReason(reason).setDomain("podium").build()))
            .addDetails(Any.pack(RetryInfo.newBuilder().setRetryDelay(wait).build()));
    return StatusProto.toStatusRuntimeException(status.build());
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
    assertTrue(error.getMessage().contains("'busy' of 'e' changed 5 times"));
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

  /** What is no address, or no time, is refused at once. */
  @Test
  void badArguments() {
    assertThrows(IllegalArgumentException.class, () -> Client.connect("localhost"));
    assertThrows(IllegalArgumentException.class, () -> Client.connect("http://localhost:1"));
    assertThrows(
        IllegalArgumentException.class, () -> builder().readTimeout(Duration.ZERO).build());
  }
}
