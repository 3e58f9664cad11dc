package main

import "testing"

// The route of tokens takes nothing away that answers there already, on the registry's host or on the
// admin port.
func TestTokenPathIsNobodyElses(t *testing.T) {
	for path, good := range map[string]bool{
		"/pullgate/token": true, "/token": true, "/v3/token": true, "/metrics2": true, "/auth/v2/token": true, "/v1x": true, "/v2x/token": true,
		"/metrics": false, "/healthz": false, "/readyz": false,
		"/v1": false, "/v1/status": false, "/v1/decisions": false, "/v1/token": false, "/v1/webhooks": false, "/v1/webhooks/main": false,
		"/v2": false, "/v2/": false, "/v2/token": false, "/v2/acme/app/tags/list": false, "/v2/_catalog": false,
		"/": false, "token": false, "/token/": false, "/a//b": false, "/a/../v2/token": false, "/%76%32/token": false, "/token?x": false, "/a b": false,
	} {
		s := settings{Bearer: bearerSettings{Path: path}}
		if errs := s.validateBearer(); (len(errs) == 0) != good {
			t.Errorf("%s: %v", path, errs)
		}
	}
}
