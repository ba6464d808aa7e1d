package podium

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const modulePath = "podium.example/podium"

// TLS names the PEM files of an encrypted connection. They are read for each new connection, so
// that renewed files are used.
type TLS struct {
	// CA has the certificates of the authorities to trust. Empty means those of the system.
	CA string
	// Cert and Key are the certificate of this client, if the server asks for one.
	Cert, Key string
}

// WithTLS encrypts the connection. Without it, the environment variables PODIUM_TLS_CA,
// PODIUM_TLS_CERT and PODIUM_TLS_KEY name the files.
func WithTLS(files TLS) grpc.DialOption {
	return grpc.WithTransportCredentials(fileCredentials{credentials.NewTLS(nil), files})
}

// WithToken sends a token with each call. Without it, the environment variable PODIUM_TOKEN is the
// token, or PODIUM_TOKEN_FILE names its file. A token is not sent without encryption, except to a
// port or a socket of this machine.
func WithToken(token string) grpc.DialOption {
	return tokenOption{read: func() (string, error) { return strings.TrimSpace(token), nil }}
}

// WithTokenFile sends the token of a file, which is read for each call.
func WithTokenFile(path string) grpc.DialOption {
	return tokenOption{read: func() (string, error) {
		content, err := os.ReadFile(path)
		return strings.TrimSpace(string(content)), err
	}}
}

// tokenOption is an option for Connect, which knows the address. gRPC ignores it.
type tokenOption struct {
	grpc.EmptyDialOption
	read func() (string, error)
}

// securityOptions returns the options of TLS and tokens. Those of the environment come first.
func securityOptions(servers []string, options []grpc.DialOption) ([]grpc.DialOption, error) {
	address := strings.Join(servers, ",")
	isSocket := strings.HasPrefix(address, "unix:")
	files := TLS{os.Getenv("PODIUM_TLS_CA"), os.Getenv("PODIUM_TLS_CERT"), os.Getenv("PODIUM_TLS_KEY")}
	result := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if files != (TLS{}) && !isSocket {
		if (files.Cert == "") != (files.Key == "") {
			return nil, errors.New("podium: PODIUM_TLS_CERT and PODIUM_TLS_KEY belong together: set both")
		}
		result = append(result, WithTLS(files))
	}
	token := tokenOfEnvironment()
	for _, option := range options {
		if given, is := option.(tokenOption); is {
			token = &given
		}
	}
	if token != nil {
		isPrivate := isSocket || !slices.ContainsFunc(servers, isExposed)
		result = append(result, grpc.WithPerRPCCredentials(bearer{token.read, address, isPrivate}))
	}
	return result, nil
}

func tokenOfEnvironment() *tokenOption {
	var option grpc.DialOption
	if token := strings.TrimSpace(os.Getenv("PODIUM_TOKEN")); token != "" {
		option = WithToken(token)
	} else if path := strings.TrimSpace(os.Getenv("PODIUM_TOKEN_FILE")); path != "" {
		option = WithTokenFile(path)
	} else {
		return nil
	}
	token := option.(tokenOption)
	return &token
}

// bearer adds a token to the metadata of each call.
type bearer struct {
	read      func() (string, error)
	address   string
	isPrivate bool
}

// GetRequestMetadata returns the token, unless others could read it on the way to the server.
func (b bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	info, _ := credentials.RequestInfoFromContext(ctx)
	isEncrypted := credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity) == nil
	if !b.isPrivate && !isEncrypted {
		return nil, status.Errorf(codes.Unauthenticated, "the token is not sent to %s without "+
			"encryption: set PODIUM_TLS_CA, or give podium.WithTLS", b.address)
	}
	token, err := b.read()
	if err == nil && token == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, status.Errorf(codes.Unauthenticated, "the token cannot be read: %v", err)
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity leaves the decision to GetRequestMetadata, which knows the address.
func (b bearer) RequireTransportSecurity() bool {
	return false
}

// isExposed reports whether an address is a port that other machines can reach.
func isExposed(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err != nil || (host != "localhost" && (ip == nil || !ip.IsLoopback()))
}

// fileCredentials are credentials of files that are read for each connection.
type fileCredentials struct {
	credentials.TransportCredentials
	files TLS
}

// ClientHandshake encrypts a connection. It reads the files first.
func (f fileCredentials) ClientHandshake(
	ctx context.Context, authority string, connection net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	config, err := f.files.config()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(config).ClientHandshake(ctx, authority, connection)
}

// Clone returns the same credentials, which do not change.
func (f fileCredentials) Clone() credentials.TransportCredentials {
	return f
}

func (t TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		authorities, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("%s has no certificate in PEM", t.CA)
		}
	}
	if t.Cert != "" || t.Key != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// userAgent returns the name of this client with the version of its module.
func userAgent() string {
	version := "devel"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range append(info.Deps, &info.Main) {
			if module.Path == modulePath && strings.HasPrefix(module.Version, "v") {
				version = module.Version[1:]
			}
		}
	}
	return "podium-go/" + version
}
