package podium;

import com.google.protobuf.Message;
import io.grpc.MethodDescriptor;
import java.time.Duration;
import podium.v1.Experiment;
import podium.v1.ListExperimentsRequest;
import podium.v1.ResultsServiceGrpc;

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

  /** Returns a handle to an experiment. That makes no call, and it need not exist. */
  public ExperimentHandle experiment(String name) {
    return new ExperimentHandle(connection, name);
  }

  /** Lists all experiments by name, in the order of the names' bytes. */
  public Pages<Experiment> experiments() {
    return experiments(ListExperimentsRequest.getDefaultInstance());
  }

  /** Lists the experiments that pass every filter of a request. Its page token is ignored. */
  public Pages<Experiment> experiments(ListExperimentsRequest request) {
    return new Pages<>(
        token -> {
          var page =
              call(
                  ResultsServiceGrpc.getListExperimentsMethod(),
                  request.toBuilder().setPageToken(token).build());
          return new Pages.Page<>(page.getExperimentsList(), page.getNextPageToken());
        });
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
