package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/spf13/pflag"
)

const envPrefix = "PULLGATE_"

// settingKey is the name of a flag's setting in the configuration file; "" when it has none.
func settingKey(fl *pflag.Flag) string {
	switch fl.Name {
	case "config", "help", "output", "accept", "rollback", "bundle":
		return ""
	case "admin-host", "bundle-host": // one at a time
		return strings.ReplaceAll(fl.Name, "-", "_") + "s"
	}
	return strings.ReplaceAll(fl.Name, "-", "_")
}

// settingFlag is the flag of a setting in the configuration file; nil when there is none.
func settingFlag(f *pflag.FlagSet, key string) (found *pflag.Flag) {
	f.VisitAll(func(fl *pflag.Flag) {
		if key != "" && settingKey(fl) == key {
			found = fl
		}
	})
	return found
}

// envName is the environment variable of a setting.
func envName(key string) string { return envPrefix + strings.ToUpper(key) }

// otherVariables are read by what belongs to pullgate and is not `pullgate serve`.
var otherVariables = []string{"PULLGATE_CACHE"} // where tools/ keeps programs

// variables are those of settings.
func variables(f *pflag.FlagSet) (names []string) {
	f.VisitAll(func(fl *pflag.Flag) {
		if key := settingKey(fl); key != "" {
			names = append(names, envName(key))
		}
	})
	return names
}

// strayVariables says of each variable that begins like a setting's that nothing reads it. Values are not
// looked at: they may be secrets.
func (s *settings) strayVariables(f *pflag.FlagSet, environ []string) []error {
	known := variables(f)
	read := slices.Concat(known, otherVariables)
	for _, add := range []func(*pflag.FlagSet, *settings){addServeFlags, addPublishFlags} { // one environment may be for both
		all := pflag.NewFlagSet("", pflag.ContinueOnError)
		add(all, new(settings))
		read = append(read, variables(all)...)
	}
	for _, c := range s.Credentials {
		read = append(read, c.PasswordEnv)
	}
	for _, w := range s.Webhooks {
		read = append(read, w.SecretEnv)
	}
	var names []string
	for _, text := range environ {
		name, _, _ := strings.Cut(text, "=")
		if strings.HasPrefix(name, envPrefix) && !strings.HasPrefix(name, "PULLGATE_TEST_") && !slices.Contains(read, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var stray []error
	for _, name := range names {
		switch {
		case isServiceLink(name, environ):
		case name == "PULLGATE_CONFIG":
			stray = append(stray, fmt.Errorf("%s: nothing reads this variable; name the file with --config", name))
		default:
			nearest := slices.MinFunc(known, func(a, b string) int {
				return license.Edits(name, a, len(name)) - license.Edits(name, b, len(name))
			})
			stray = append(stray, fmt.Errorf("%s: nothing reads this variable; the nearest setting is %s", name, nearest))
		}
	}
	return stray
}

// isServiceLink reports whether a variable is one of those by which Kubernetes tells containers of a service
// whose name begins with pullgate: NAME_SERVICE_HOST, NAME_SERVICE_PORT…, NAME_PORT….
func isServiceLink(name string, environ []string) bool {
	has := func(name string) bool {
		return slices.ContainsFunc(environ, func(text string) bool { return strings.HasPrefix(text, name+"=") })
	}
	for i := range len(name) {
		service, rest := name[:i], name[i:]
		link := strings.HasPrefix(rest, "_SERVICE_") || rest == "_PORT" || strings.HasPrefix(rest, "_PORT_")
		if link && has(service+"_SERVICE_HOST") && has(service+"_SERVICE_PORT") {
			return true
		}
	}
	return false
}
