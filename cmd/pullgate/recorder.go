//go:build !unrecorded

package main

import (
	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/audit"
)

// recorder is where decisions go. Only a build with the tag unrecorded, which `make bench` compares
// with, has none.
func recorder(log *audit.Log) authz.Recorder { return log }
