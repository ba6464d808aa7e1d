package podium;

import io.grpc.Attributes;
import io.grpc.EquivalentAddressGroup;
import io.grpc.ManagedChannelBuilder;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.NameResolverRegistry;
import io.grpc.Status;
import io.grpc.StatusOr;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.URI;
import java.net.URLEncoder;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Addresses of servers, and the resolver with which one channel connects to several of them. */
final class Addresses extends NameResolverProvider {
  private static final String HOST_PORT = "(?:\\[[^\\]\\s]+\\]|[^:/\\s\\[\\]]+):[0-9]{1,5}";
  private static final Pattern ONE_OF_SEVERAL = Pattern.compile(HOST_PORT);
  private static final Pattern ONE =
      Pattern.compile("unix:.+|(?:(?:dns|ipv4|ipv6):/*)?" + HOST_PORT);

  private static final int MOST_PORT = 65_535;

  private static final String SCHEME = "podium";

  /** Gives calls in turns to all servers that are healthy. */
  private static final Map<String, ?> BALANCED =
      Map.of(
          "loadBalancingConfig", List.of(Map.of("round_robin", Map.of())),
          "healthCheckConfig", Map.of("serviceName", ""));

  static {
    NameResolverRegistry.getDefaultRegistry().register(new Addresses());
  }

  private Addresses() {}

  /**
   * Returns the address of each server in a list of addresses, without repetitions.
   *
   * @throws IllegalArgumentException if one is malformed
   */
  static List<String> of(String list) {
    String text = list.strip();
    if (text.startsWith("unix:")) {
      return List.of(checked(text, ONE));
    }
    String[] given = text.split(",", -1);
    Pattern form = given.length == 1 ? ONE : ONE_OF_SEVERAL;
    return Stream.of(given).map(each -> checked(each.strip(), form)).distinct().toList();
  }

  private static String checked(String address, Pattern form) {
    if (!form.matcher(address).matches() || portOf(address) > MOST_PORT) {
      throw new IllegalArgumentException(
          "an address is HOST:PORT or unix:PATH, not '" + address + "'");
    }
    return address;
  }

  private static int portOf(String address) {
    // A path has no port, and a matching address ends with one of up to five digits.
    return address.startsWith("unix:")
        ? 0
        : Integer.parseInt(address.substring(address.lastIndexOf(':') + 1));
  }

  /** Returns what gRPC connects to. */
  static String target(List<String> addresses) {
    // A URI has no brackets, which IPv6 addresses have.
    return addresses.size() == 1
        ? addresses.get(0)
        : SCHEME + ":///" + URLEncoder.encode(String.join(",", addresses), StandardCharsets.UTF_8);
  }

  /** Adds the options for several servers, unless there is only one. */
  static ManagedChannelBuilder<?> balanced(
      List<String> addresses, ManagedChannelBuilder<?> builder) {
    boolean isBalanced = addresses.size() > 1 || addresses.get(0).startsWith("dns:");
    return isBalanced ? builder.defaultServiceConfig(BALANCED) : builder;
  }

  @Override
  public NameResolver newNameResolver(URI target, NameResolver.Args args) {
    return new Resolver(target.getPath().substring(1).split(","), args);
  }

  @Override
  public String getDefaultScheme() {
    return SCHEME;
  }

  @Override
  protected boolean isAvailable() {
    return true;
  }

  @Override
  protected int priority() {
    return 0; // An address without a scheme is a name of DNS.
  }

  /** Looks up the hosts of several servers. */
  private static final class Resolver extends NameResolver {
    private final String[] addresses;
    private final Args args;
    private Listener2 listener;

    Resolver(String[] addresses, Args args) {
      this.addresses = addresses;
      this.args = args;
    }

    @Override
    public String getServiceAuthority() {
      return addresses[0];
    }

    @Override
    public void start(Listener2 listener) {
      this.listener = listener;
      refresh();
    }

    @Override
    public void refresh() {
      args.getOffloadExecutor().execute(this::lookUp);
    }

    private void lookUp() {
      List<EquivalentAddressGroup> groups = new ArrayList<>();
      Status problem = Status.UNAVAILABLE;
      for (String address : addresses) {
        try {
          groups.add(group(address));
        } catch (UnknownHostException error) {
          problem = problem.withDescription("no host has the name of " + address).withCause(error);
        }
      }
      StatusOr<List<EquivalentAddressGroup>> found =
          groups.isEmpty() ? StatusOr.fromStatus(problem) : StatusOr.fromValue(groups);
      listener.onResult(ResolutionResult.newBuilder().setAddressesOrError(found).build());
    }

    private static EquivalentAddressGroup group(String address) throws UnknownHostException {
      List<SocketAddress> sockets = new ArrayList<>();
      String name = address.substring(0, address.lastIndexOf(':'));
      for (InetAddress host : InetAddress.getAllByName(name)) {
        sockets.add(new InetSocketAddress(host, portOf(address)));
      }
      // Each server may have a certificate for its own name only.
      var attributes =
          Attributes.newBuilder().set(EquivalentAddressGroup.ATTR_AUTHORITY_OVERRIDE, address);
      return new EquivalentAddressGroup(sockets, attributes.build());
    }

    @Override
    public void shutdown() {
      // A look-up under way ends by itself.
    }
  }
}
