package podium_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"podium.example/podium"
	"podium.example/podium/podiumv1"
)

// heard is a server that notes the metadata of each call.
type heard struct {
	podiumv1.UnimplementedResultsServiceServer
	mutex sync.Mutex
	seen  metadata.MD
}

func (s *heard) Score(
	ctx context.Context, _ *podiumv1.ScoreRequest,
) (*podiumv1.ScoreResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.seen, _ = metadata.FromIncomingContext(ctx)
	return &podiumv1.ScoreResponse{}, nil
}

// of returns the values of a key in the last call.
func (s *heard) of(key string) string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return strings.Join(s.seen.Get(key), " ")
}

// hearing starts a server, encrypted by a configuration if there is one.
func hearing(t *testing.T, config *tls.Config) (*heard, string) {
	t.Helper()
	options := []grpc.ServerOption{}
	if config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	service, server, listener := &heard{}, grpc.NewServer(options...), listening(t)
	podiumv1.RegisterResultsServiceServer(server, service)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return service, listener.Addr().String()
}

// issued writes a certificate for 127.0.0.1, its own authority, and its key into two files.
func issued(t *testing.T, name string) (tls.Certificate, podium.TLS) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := podium.TLS{
		Cert: written(t, name+".pem", &pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		Key:  written(t, name+".key", &pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair, files
}

func written(t *testing.T, name string, block *pem.Block) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func score(t *testing.T, address string, options ...grpc.DialOption) error {
	t.Helper()
	client, err := podium.Connect(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, _, err = client.Arm("x", "a").Score(ctx, "acc")
	return err
}

// A client with the authority's and its own certificate is answered, and sends its token encrypted.
func TestEncryptedConnections(t *testing.T) {
	pair, server := issued(t, "server")
	_, own := issued(t, "client")
	clients := x509.NewCertPool()
	content, err := os.ReadFile(own.Cert)
	if err != nil || !clients.AppendCertsFromPEM(content) {
		t.Fatal(err)
	}
	service, address := hearing(t, &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients,
	})
	own.CA = server.Cert
	if err := score(t, address, podium.WithTLS(own), podium.WithToken("pdm_a_b")); err != nil {
		t.Fatal(err)
	}
	if token := service.of("authorization"); token != "Bearer pdm_a_b" {
		t.Errorf("the token is %q", token)
	}
	t.Setenv("PODIUM_TLS_CA", own.CA)
	t.Setenv("PODIUM_TLS_CERT", own.Cert)
	t.Setenv("PODIUM_TLS_KEY", own.Key)
	if err := score(t, address); err != nil {
		t.Errorf("by the environment: %v", err)
	}
	t.Setenv("PODIUM_TLS_KEY", "")
	if _, err := podium.Connect(address); err == nil || !strings.Contains(err.Error(), "both") {
		t.Errorf("a certificate without its key: %v", err)
	}
}

// A server whose certificate is of another authority is refused, and the error says so.
func TestOtherAuthorities(t *testing.T) {
	pair, _ := issued(t, "server")
	_, other := issued(t, "other")
	_, address := hearing(t, &tls.Config{Certificates: []tls.Certificate{pair}})
	err := score(t, address, podium.WithTLS(podium.TLS{CA: other.Cert}))
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no encrypted connection") {
		t.Errorf("another authority: %v", err)
	}
}

// The user agent names the client. A token of the environment is sent to a port of this machine, and
// the file of a token is read for each call.
func TestTokensOfTheEnvironment(t *testing.T) {
	service, address := hearing(t, nil)
	path := filepath.Join(t.TempDir(), "token")
	t.Setenv("PODIUM_TOKEN_FILE", path)
	client := connected(t, address)
	for _, token := range []string{"pdm_a_b", "pdm_c_d"} {
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := client.Arm("x", "a").Score(t.Context(), "acc"); err != nil {
			t.Fatal(err)
		}
		if found := service.of("authorization"); found != "Bearer "+token {
			t.Errorf("the token is %q", found)
		}
	}
	if agent := service.of("user-agent"); !strings.HasPrefix(agent, "podium-go/") {
		t.Errorf("the user agent is %q", agent)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, _, err := client.Arm("x", "a").Score(t.Context(), "acc")
	if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), path) {
		t.Errorf("without its file: %v", err)
	}
}

// A token is not sent without encryption to an address that is not of this machine.
func TestTokensWithoutEncryption(t *testing.T) {
	service, place := hearing(t, nil)
	dial := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", place)
	})
	err := score(t, "192.0.2.1:50051", podium.WithToken("pdm_a_b"), dial)
	if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "without encryption") {
		t.Errorf("another machine: %v", err)
	}
	if service.of("authorization") != "" {
		t.Error("the token was sent")
	}
}
