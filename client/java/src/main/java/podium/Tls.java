package podium;

import io.grpc.ChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The files of an encrypted connection, in PEM. They are read when the client is made: make a
 * new client after they were replaced.
 *
 * @param ca the certificates of the authorities to trust, or null for the public authorities of
 *     Java
 * @param cert the certificate of this client, for servers that ask for one, or null
 * @param key the private key of that certificate, or null
 */
public record Tls(Path ca, Path cert, Path key) {
  /**
   * Makes the files of a connection.
   *
   * @throws IllegalArgumentException if only one of the certificate and its key is given
   */
  public Tls {
    if ((cert == null) != (key == null)) {
      throw new IllegalArgumentException(
          "a certificate and its key belong together: give both, or neither");
    }
  }

  /** Returns the files that {@code PODIUM_TLS_CA}, {@code _CERT} and {@code _KEY} name. */
  static Optional<Tls> fromEnvironment() {
    Path ca = path("PODIUM_TLS_CA");
    var tls = new Tls(ca, path("PODIUM_TLS_CERT"), path("PODIUM_TLS_KEY"));
    return ca == null && tls.cert == null ? Optional.empty() : Optional.of(tls);
  }

  private static Path path(String name) {
    String text = Environment.variable(name);
    return text.isEmpty() ? null : Path.of(text);
  }

  /** Returns the credentials of a channel. */
  ChannelCredentials credentials() {
    var credentials = TlsChannelCredentials.newBuilder();
    try {
      if (ca != null) {
        credentials.trustManager(ca.toFile());
      }
      if (cert != null) {
        credentials.keyManager(cert.toFile(), key.toFile());
      }
    } catch (IOException error) {
      throw new IllegalArgumentException("a file of TLS cannot be read: " + error.getMessage(), error);
    }
    return credentials.build();
  }
}
