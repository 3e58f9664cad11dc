package main

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Kubernetes sets variables for every service, also for one that is called pullgate.
func TestVariablesOfServicesAreNoSettings(t *testing.T) {
	links := []string{
		"PULLGATE_SERVICE_HOST=10.0.0.1", "PULLGATE_SERVICE_PORT=9191", "PULLGATE_SERVICE_PORT_GRPC=9191", "PULLGATE_PORT=tcp://10.0.0.1:9191",
		"PULLGATE_PORT_9191_TCP=tcp://10.0.0.1:9191", "PULLGATE_PORT_9191_TCP_PROTO=tcp", "PULLGATE_PORT_9191_TCP_PORT=9191", "PULLGATE_PORT_9191_TCP_ADDR=10.0.0.1",
		"PULLGATE_ADMIN_SERVICE_HOST=10.0.0.2", "PULLGATE_ADMIN_SERVICE_PORT=9192", "PULLGATE_ADMIN_PORT=tcp://10.0.0.2:9192",
	}
	strays := func(environ []string) string {
		var s settings
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		addServeFlags(f, &s)
		var names []string
		for _, err := range s.strayVariables(f, environ) {
			name, _, _ := strings.Cut(err.Error(), ":")
			names = append(names, name)
		}
		return strings.Join(names, " ")
	}
	if got := strays(links); got != "" {
		t.Error(got)
	}
	if got := strays([]string{"PULLGATE_ADMIN_PORT=9192", "PULLGATE_GRPC_PORT_X=1", "PULLGATE_SERVICE_HOST=x", "HOME=/", "pullgate_x=1"}); got != "PULLGATE_ADMIN_PORT PULLGATE_GRPC_PORT_X PULLGATE_SERVICE_HOST" {
		t.Error(got)
	}
}
