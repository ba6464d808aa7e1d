package podium;

import com.google.protobuf.Message;
import io.grpc.MethodDescriptor;
import java.time.Duration;
import java.util.List;
import podium.v1.ArmSummary;
import podium.v1.DeleteExperimentRequest;
import podium.v1.Event;
import podium.v1.Experiment;
import podium.v1.GetExperimentRequest;
import podium.v1.ListArmsRequest;
import podium.v1.ListExperimentsRequest;
import podium.v1.RankRequest;
import podium.v1.RankResponse;
import podium.v1.RankedArm;
import podium.v1.RecordRequest;
import podium.v1.RecordResponse;
import podium.v1.RecordingServiceGrpc;
import podium.v1.ResultsServiceGrpc;
import podium.v1.StreamPosition;

/**
 * A client of a Podium server. Any number of threads may share one.
 *
 * <p>Every call ends: reads after 10 s, writes after 30 s at the latest, unless the client was
 * given other limits. Reads are repeated while the server is unavailable, up to 5 attempts; writes
 * are not, since one may have been stored when its answer is lost. To send a write again is always
 * safe.
 *
 * <p>Whatever the server refuses is a {@link PodiumException}. What could not even be sent is an
 * {@link IllegalArgumentException}.
 */
public final class Client implements AutoCloseable {
  private static final Duration READ_TIMEOUT = Duration.ofSeconds(10);
  private static final Duration WRITE_TIMEOUT = Duration.ofSeconds(30);

  private final Connection connection;

  private Client(Connection connection) {
    this.connection = connection;
  }

  /** Connects to {@code PODIUM_ADDRESS}, or {@code localhost:50051} where that is not set. */
  public static Client connect() {
    return connect(Connection.defaultAddress());
  }

  /**
   * Connects to a server. Nothing is sent before the first call.
   *
   * @param address {@code HOST:PORT} or {@code unix:PATH}
   */
  public static Client connect(String address) {
    return connect(address, READ_TIMEOUT, WRITE_TIMEOUT);
  }

  /**
   * Connects to a server with other limits.
   *
   * @param address {@code HOST:PORT} or {@code unix:PATH}
   * @param readTimeout how long a call may take that only asks
   * @param writeTimeout how long a call may take that changes something
   */
  public static Client connect(String address, Duration readTimeout, Duration writeTimeout) {
    return new Client(new Connection(address, readTimeout, writeTimeout));
  }

  /** Returns a handle to an arm. That makes no call, and the arm need not exist. */
  public ArmHandle arm(String experiment, String name) {
    return new ArmHandle(connection, experiment, name);
  }

  /**
   * Gets an experiment.
   *
   * @throws PodiumException.NotFound if it does not exist
   */
  public Experiment getExperiment(String name) {
    var request = GetExperimentRequest.newBuilder().setExperiment(name).build();
    return call(ResultsServiceGrpc.getGetExperimentMethod(), request).getExperiment();
  }

  /** Lists all experiments by name, in the order of the names' bytes. */
  public Pages<Experiment> listExperiments() {
    return listExperiments(ListExperimentsRequest.getDefaultInstance());
  }

  /** Lists the experiments that pass every filter of a request. Its page token is ignored. */
  public Pages<Experiment> listExperiments(ListExperimentsRequest request) {
    return new Pages<>(
        token -> {
          var page =
              call(
                  ResultsServiceGrpc.getListExperimentsMethod(),
                  request.toBuilder().setPageToken(token).build());
          return new Pages.Page<>(page.getExperimentsList(), page.getNextPageToken());
        });
  }

  /** Lists the arms of an experiment without their rows, in the order of their creation. */
  public Pages<ArmSummary> listArms(String experiment) {
    return listArms(ListArmsRequest.newBuilder().setExperiment(experiment).build());
  }

  /** Lists the arms that pass every filter of a request. Its page token is ignored. */
  public Pages<ArmSummary> listArms(ListArmsRequest request) {
    return new Pages<>(
        token -> {
          var page =
              call(
                  ResultsServiceGrpc.getListArmsMethod(),
                  request.toBuilder().setPageToken(token).build());
          return new Pages.Page<>(page.getArmsList(), page.getNextPageToken());
        });
  }

  /**
   * Ranks the completed arms of an experiment by its success metric: the best ones first.
   *
   * @throws PodiumException.FailedPrecondition if it has no success metric (METRIC_MISSING)
   */
  public Pages<RankedArm> rank(String experiment) {
    return rank(RankRequest.newBuilder().setExperiment(experiment).build());
  }

  /** Ranks the arms of an experiment as a request says. Its page token is ignored. */
  public Pages<RankedArm> rank(RankRequest request) {
    return new Pages<>(
        token -> {
          var page = rankPage(request.toBuilder().setPageToken(token).build());
          return new Pages.Page<>(page.getArmsList(), page.getNextPageToken());
        });
  }

  /** Gets one page of a ranking, with what became of all arms and where the scores came from. */
  public RankResponse rankPage(RankRequest request) {
    return call(ResultsServiceGrpc.getRankMethod(), request);
  }

  /**
   * Records events of one experiment: all of them or none. They are on disk when it returns.
   *
   * @throws PodiumException with every refused event in its {@code refusals()}
   */
  public RecordResponse record(String experiment, Event... events) {
    return record(experiment, List.of(events));
  }

  /** Records events of one experiment, as {@link #record(String, Event...)}. */
  public RecordResponse record(String experiment, List<Event> events) {
    return record(
        RecordRequest.newBuilder().setExperiment(experiment).addAllEvents(events).build());
  }

  /**
   * Records events at a place in a stream: what was applied there before is skipped.
   *
   * @throws PodiumException.OutOfRange if events before the first one are missing (SEQUENCE_GAP)
   */
  public RecordResponse record(String experiment, List<Event> events, StreamPosition position) {
    return record(
        RecordRequest.newBuilder()
            .setExperiment(experiment)
            .addAllEvents(events)
            .setPosition(position)
            .build());
  }

  /** Makes a Record call as it stands. */
  public RecordResponse record(RecordRequest request) {
    return call(RecordingServiceGrpc.getRecordMethod(), request);
  }

  /**
   * Deletes an experiment with its arms.
   *
   * @param allowMissing whether it is all right if it does not exist
   * @return the experiment's revision afterwards
   * @throws PodiumException.NotFound if it does not exist and has to
   */
  public long deleteExperiment(String name, boolean allowMissing) {
    var request =
        DeleteExperimentRequest.newBuilder()
            .setExperiment(name)
            .setAllowMissing(allowMissing)
            .build();
    return call(RecordingServiceGrpc.getDeleteExperimentMethod(), request).getRevision();
  }

  /** Closes the connection. Calls under way fail. */
  @Override
  public void close() {
    connection.close();
  }

  /**
   * Makes any call of either service, with the limits and errors of this client.
   *
   * @param method the call, such as {@code ResultsServiceGrpc.getRankMethod()}
   */
  public <Q extends Message, R extends Message> R call(MethodDescriptor<Q, R> method, Q request) {
    return connection.call(method, request);
  }
}
