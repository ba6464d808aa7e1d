package podium;

import io.grpc.CallCredentials;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.ConnectivityState;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.ManagedChannelRegistry;
import io.grpc.Status;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/** A server, or several servers with the same results, and their channel. */
final class Server {
  private static final Pattern LOCAL =
      Pattern.compile("unix:.+|(?:localhost|127\\.[0-9.]+|\\[::1\\]):[0-9]+");

  /** The version of this client. */
  private static final String VERSION = "0.1.0";

  /** A response is larger than the request that recorded it: it has times and revisions. */
  private static final int LARGEST_RESPONSE = 16 << 20;

  private static final long RECONNECT_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final String address;
  private final List<String> addresses;
  private final ManagedChannel channel;
  private final Channel intercepted;
  private final CallOptions options;
  /** Whether calls would send a token that others could read on the way to the server. */
  private final boolean isTokenExposed;

  private volatile boolean closed;
  private volatile long reconnected = System.nanoTime();

  Server(
      String address,
      ChannelCredentials credentials,
      CallCredentials callCredentials,
      List<ClientInterceptor> interceptors) {
    addresses = Addresses.of(address);
    this.address = String.join(",", addresses);
    channel = channelTo(addresses, credentials);
    intercepted = ClientInterceptors.intercept(channel, interceptors);
    isTokenExposed =
        callCredentials instanceof TokenCredentials
            && credentials instanceof InsecureChannelCredentials
            && !addresses.stream().allMatch(each -> LOCAL.matcher(each).matches());
    options = CallOptions.DEFAULT.withCallCredentials(callCredentials);
  }

  private static ManagedChannelBuilder<?> builder(
      String address, ChannelCredentials credentials) {
    try {
      return Grpc.newChannelBuilder(address, credentials);
    } catch (ManagedChannelRegistry.ProviderNotFoundException error) {
      var text = "a file of TLS cannot be used: " + error.getMessage();
      throw new IllegalArgumentException(text, error);
    }
  }

  private static ManagedChannel channelTo(
      List<String> addresses, ChannelCredentials credentials) {
    return Addresses.balanced(addresses, builder(Addresses.target(addresses), credentials))
        .userAgent("podium-java/" + VERSION)
        .disableServiceConfigLookUp()
        // Connection retries calls. gRPC would end after 5 attempts, even before the deadline.
        .disableRetry()
        // Pings detect a server that is gone without closing the connection.
        .keepAliveTime(30, TimeUnit.SECONDS)
        .keepAliveTimeout(10, TimeUnit.SECONDS)
        .keepAliveWithoutCalls(true)
        .maxInboundMessageSize(LARGEST_RESPONSE)
        .build();
  }

  String address() {
    return address;
  }

  boolean isClosed() {
    return closed;
  }

  /** Returns the options of a new call. */
  CallOptions options() {
    if (isTokenExposed) {
      var text = "the token is not sent to %s without encryption: set PODIUM_TLS_CA, or give tls()";
      throw new PodiumException(
          Status.Code.UNAUTHENTICATED, text.formatted(address), "", Map.of(), List.of());
    }
    return options;
  }

  /** Returns the channel for a new call. */
  Channel channel() {
    if (closed) {
      throw new IllegalStateException("this client is closed; create a new one");
    }
    // gRPC waits up to two minutes before it reconnects, which is too long for a call.
    if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE || isTimeToReconnect()) {
      reconnected = System.nanoTime();
      channel.resetConnectBackoff();
    }
    return intercepted;
  }

  /** Returns whether there may be a server that has returned while the others get its calls. */
  private boolean isTimeToReconnect() {
    return addresses.size() > 1 && System.nanoTime() - reconnected > RECONNECT_NANOS;
  }

  /** Returns how many other servers there are. */
  int others() {
    return addresses.size() - 1;
  }

  void close() {
    closed = true;
    channel.shutdownNow();
  }
}
