package podium

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	// Watches the health of servers, so that one that stops gets no calls.
	_ "google.golang.org/grpc/health"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// balanced gives calls in turns to all servers that are healthy.
const balanced = `{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}`

// serversOf returns the address of each server in a list of addresses, without repetitions.
func serversOf(list string) ([]string, error) {
	var servers []string
	addresses := []string{strings.TrimSpace(list)}
	if !strings.HasPrefix(addresses[0], "unix:") {
		addresses = strings.Split(list, ",")
	}
	for _, address := range addresses {
		address = strings.TrimSpace(address)
		if !isHostPort(address) && (len(addresses) > 1 || !hasScheme(address)) {
			return nil, fmt.Errorf("podium: an address is HOST:PORT or unix:PATH, not %q", address)
		}
		if !slices.Contains(servers, address) {
			servers = append(servers, address)
		}
	}
	return servers, nil
}

// isHostPort rejects addresses that gRPC would take for a host without a port.
func isHostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	_, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && host != ""
}

// hasScheme reports whether an address is unix:PATH, or of another resolver of gRPC.
func hasScheme(address string) bool {
	scheme, rest, found := strings.Cut(address, ":")
	return found && rest != "" && resolver.Get(scheme) != nil
}

// targetOf returns what gRPC connects to, and the options for several servers.
func targetOf(servers []string) (string, []grpc.DialOption) {
	balancing := []grpc.DialOption{grpc.WithDefaultServiceConfig(balanced)}
	if len(servers) == 1 {
		if strings.HasPrefix(servers[0], "dns:") {
			return servers[0], balancing
		}
		return servers[0], nil
	}
	var state resolver.State
	for _, address := range servers {
		// Each server may have a certificate for its own name only.
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address, ServerName: address})
	}
	known := manual.NewBuilderWithScheme("podium")
	known.InitialState(state)
	return "podium:///" + servers[0], append(balancing, grpc.WithResolvers(known))
}
