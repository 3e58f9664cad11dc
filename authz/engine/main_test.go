package engine

import (
	"testing"

	"github.com/pullgate/pullgate/examples/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
