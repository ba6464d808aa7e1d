package podium;

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
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import podium.v1.AccessServiceGrpc;
import podium.v1.CreateTokenRequest;
import podium.v1.CreateTokenResponse;
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

/**
 * A server that fails as often as a test says, and then answers. A real one does not fail when it is
 * asked to.
 */
@Timeout(300)
abstract class FailingServer {
  static final Metadata.Key<String> TOKEN =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  static final Metadata.Key<String> AGENT =
      Metadata.Key.of("user-agent", Metadata.ASCII_STRING_MARSHALLER);

  final AtomicInteger calls = new AtomicInteger();
  final CountDownLatch cancelled = new CountDownLatch(1);
  int failures;
  StatusRuntimeException failure = failure(Status.UNAVAILABLE, "starting");
  volatile String token;
  volatile String agent;
  io.grpc.Server server;
  Client client;

  @BeforeEach
  void start() throws IOException {
    server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(new Results())
            .addService(new Recording())
            .addService(new Access())
            .intercept(new TokenReader())
            .build()
            .start();
    client = builder().build();
  }

  Client.Builder builder() {
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
  final class Results extends ResultsServiceGrpc.ResultsServiceImplBase {
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
  final class TokenReader implements ServerInterceptor {
    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
      token = headers.get(TOKEN);
      agent = headers.get(AGENT);
      return next.startCall(call, headers);
    }
  }

  final class Recording extends RecordingServiceGrpc.RecordingServiceImplBase {
    @Override
    public void record(RecordRequest request, StreamObserver<RecordResponse> observer) {
      ((ServerCallStreamObserver<RecordResponse>) observer).setOnCancelHandler(cancelled::countDown);
      calls.incrementAndGet();
      if (failures > 0) {
        answer(observer, RecordResponse.getDefaultInstance());
      } // Else never.
    }
  }

  final class Access extends AccessServiceGrpc.AccessServiceImplBase {
    @Override
    public void createToken(
        CreateTokenRequest request, StreamObserver<CreateTokenResponse> observer) {
      calls.incrementAndGet();
      answer(observer, CreateTokenResponse.getDefaultInstance());
    }
  }

  static StatusRuntimeException failure(Status status, String text) {
    return status.withDescription(text).asRuntimeException();
  }

  <T> void answer(StreamObserver<T> observer, T response) {
    if (calls.get() <= failures) {
      observer.onError(failure);
    } else {
      observer.onNext(response);
      observer.onCompleted();
    }
  }

  /** An error as a server says it that asks to wait before the call is made again. */
  static StatusRuntimeException refusal(Status code, String reason, Duration delay) {
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
}
