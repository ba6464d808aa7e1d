package podium;

import com.google.protobuf.Message;
import io.grpc.CallCredentials;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptor;
import io.grpc.InsecureChannelCredentials;
import io.grpc.MethodDescriptor;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import podium.v1.AccessServiceGrpc;
import podium.v1.Experiment;
import podium.v1.GetServerRequest;
import podium.v1.ListExperimentsRequest;
import podium.v1.ResultsServiceGrpc;
import podium.v1.Token;
import podium.v1.WhoAmIRequest;

/**
 * A client of a Podium server. Any number of threads may share one.
 *
 * <p>Reads have a deadline of 10 s and writes of 30 s, unless the client was made with others.
 * Interrupting a thread cancels its call. Until its deadline, a call is retried while the server is
 * unavailable, if it is a read or has a position in a stream. Any call is retried if the server
 * rejects it because it is overloaded or stops. Other writes are sent once, since they may have
 * been stored when the response is lost. It is always safe to send a write again.
 *
 * <p>A failed call throws a {@link PodiumException}. A request that cannot be sent throws an {@link
 * IllegalArgumentException}.
 */
public final class Client implements AutoCloseable {
  private final Connection connection;

  private Client(Connection connection) {
    this.connection = connection;
  }

  /** Connects to {@code PODIUM_ADDRESS}, or to {@code localhost:50051} if it is not set. */
  public static Client connect() {
    return builder().build();
  }

  /**
   * Connects to a server. Nothing is sent before the first call.
   *
   * @param address {@code HOST:PORT}, {@code unix:PATH}, or {@code HOST:PORT,HOST:PORT} for several
   *     servers with the same results. They get calls in turns. If one stops or cannot be reached,
   *     the others get its calls. {@code dns:NAME:PORT} stands for all servers of a name.
   */
  public static Client connect(String address) {
    return builder().address(address).build();
  }

  /** Returns a builder of a client with other deadlines, credentials or interceptors. */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * Returns a client over the same connection with another deadline: {@code
   * client.withTimeout(Duration.ofSeconds(1)).arm("e", "a").score("acc")}. Closing either client
   * closes both.
   */
  public Client withTimeout(Duration timeout) {
    return new Client(connection.withTimeout(timeout));
  }

  /** Returns a handle of an arm. It makes no call, and the arm need not exist. */
  public ArmHandle arm(String experiment, String name) {
    return new ArmHandle(connection, experiment, name);
  }

  /** Returns a handle of an experiment. It makes no call, and the experiment need not exist. */
  public ExperimentHandle experiment(String name) {
    return new ExperimentHandle(connection, name);
  }

  /** Lists all experiments by name, in the order of the names' bytes. */
  public Pages<Experiment> experiments() {
    return experiments(ListExperimentsRequest.getDefaultInstance());
  }

  /** Gets the version and the limits of the server, and the id of its store. */
  public podium.v1.Server server() {
    var request = GetServerRequest.getDefaultInstance();
    return connection.call(ResultsServiceGrpc.getGetServerMethod(), request).getServer();
  }

  /** Gets the token of this client. Empty if the server requires no tokens. */
  public Optional<Token> whoami() {
    var request = WhoAmIRequest.getDefaultInstance();
    var response = connection.call(AccessServiceGrpc.getWhoAmIMethod(), request);
    return response.hasToken() ? Optional.of(response.getToken()) : Optional.empty();
  }

  /** Lists the experiments that match the filters of a request. Its page token is ignored. */
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

  /** Closes the connection, and cancels running calls. */
  @Override
  public void close() {
    connection.close();
  }

  /**
   * Makes any call of any service, with the limits and errors of this client.
   *
   * @param <Q> the request
   * @param <R> the response
   * @param method the call, such as {@code ResultsServiceGrpc.getRankMethod()}
   */
  public <Q extends Message, R extends Message> R call(MethodDescriptor<Q, R> method, Q request) {
    return connection.call(method, request);
  }

  /**
   * Makes any call of any service, as {@link #call}, without a waiting thread. Cancelling the
   * future cancels the call. The future fails with a {@link PodiumException}.
   *
   * @param <Q> the request
   * @param <R> the response
   * @param method the call, such as {@code ResultsServiceGrpc.getRankMethod()}
   */
  public <Q extends Message, R extends Message> CompletableFuture<R> callAsync(
      MethodDescriptor<Q, R> method, Q request) {
    return connection.callAsync(method, request);
  }

  /** Makes a client. Options that are not set have their defaults. */
  public static final class Builder {
    private String address = Connection.defaultAddress();
    private Duration readTimeout = Duration.ofSeconds(10);
    private Duration writeTimeout = Duration.ofSeconds(30);
    private Optional<Tls> tls = Tls.fromEnvironment();
    private String token;
    private Path tokenFile;
    private ChannelCredentials channelCredentials;
    private CallCredentials callCredentials;
    private final List<ClientInterceptor> interceptors = new ArrayList<>();

    private Builder() {}

    /** Names the server: {@code HOST:PORT}, {@code unix:PATH}, or {@code HOST:PORT,HOST:PORT}. */
    public Builder address(String address) {
      this.address = address;
      return this;
    }

    /** Sets the deadline of reads, including their retries. */
    public Builder readTimeout(Duration timeout) {
      readTimeout = timeout;
      return this;
    }

    /** Sets the deadline of writes, including their retries. */
    public Builder writeTimeout(Duration timeout) {
      writeTimeout = timeout;
      return this;
    }

    /**
     * Encrypts the connection with these files. Null turns encryption off, even if the environment
     * asks for it. A socket ignores them.
     */
    public Builder tls(Tls files) {
      tls = Optional.ofNullable(files);
      return this;
    }

    /**
     * Sends a token with each call: only over an encrypted connection, to a socket, or to a port of
     * this machine.
     */
    public Builder token(String text) {
      token = text;
      return this;
    }

    /** Sends the token in a file with each call. The file is read for each call. */
    public Builder tokenFile(Path file) {
      tokenFile = file;
      return this;
    }

    /** Takes credentials of your own for the channel, in place of {@link #tls}. */
    public Builder channelCredentials(ChannelCredentials credentials) {
      channelCredentials = credentials;
      return this;
    }

    /** Takes credentials of your own for each call, in place of a token. */
    public Builder callCredentials(CallCredentials credentials) {
      callCredentials = credentials;
      return this;
    }

    /** Adds an interceptor of each call, such as one that adds metadata. */
    public Builder intercept(ClientInterceptor interceptor) {
      interceptors.add(interceptor);
      return this;
    }

    /**
     * Makes the client. Nothing is sent before its first call.
     *
     * @throws IllegalArgumentException if the address is invalid, a timeout is not positive, or a
     * file
     *     of TLS cannot be read
     */
    public Client build() {
      var server = new Server(address, channel(), token(), interceptors);
      return new Client(new Connection(server, readTimeout, writeTimeout));
    }

    private ChannelCredentials channel() {
      if (channelCredentials != null) {
        return channelCredentials;
      }
      return tls.isPresent() && !address.startsWith("unix:")
          ? tls.get().credentials()
          : InsecureChannelCredentials.create();
    }

    private CallCredentials token() {
      if (callCredentials != null) {
        return callCredentials;
      }
      return token == null && tokenFile == null
          ? TokenCredentials.fromEnvironment()
          : new TokenCredentials(token, tokenFile);
    }
  }
}
