//go:build unrecorded

package main

import (
	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/audit"
)

// recorder forgets decisions: to measure what recording them costs. No such build is shipped.
func recorder(*audit.Log) authz.Recorder { return forgetful{} }

type forgetful struct{}

// Record implements authz.Recorder.
func (forgetful) Record(*authz.Record) {}
