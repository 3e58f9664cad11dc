package audit

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// register exports the counts. A failing registration is a programming error of the caller
// (the same Registerer twice) and panics like prometheus.MustRegister.
func (l *Log) register(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	counter := func(name, help string, n *atomic.Uint64, labels prometheus.Labels) {
		reg.MustRegister(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(n.Load()) }))
	}
	counter("pullgate_audit_records_total", "Records written.", &l.written, nil)
	const dropped, droppedHelp = "pullgate_audit_dropped_total", "Records lost, by reason: queue (full), disk (full or failing), closed (after shutdown)."
	counter(dropped, droppedHelp, &l.droppedQueue, prometheus.Labels{"reason": "queue"})
	counter(dropped, droppedHelp, &l.droppedDisk, prometheus.Labels{"reason": "disk"})
	counter(dropped, droppedHelp, &l.droppedClosed, prometheus.Labels{"reason": "closed"})
	for i, status := range unidentifiedStatus {
		counter("pullgate_audit_aggregated_total", "Refusals of unidentified callers beyond their quota: counted here instead of kept, by status.",
			&l.aggregated[i], prometheus.Labels{"status": strconv.Itoa(status)})
	}
	counter("pullgate_audit_write_errors_total", "Failed attempts to write records, and times that their file or directory was gone.", &l.writeErrors, nil)
	reg.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "pullgate_audit_queue_length", Help: "Records waiting to be written."},
		func() float64 { return float64(len(l.queue)) }))
}
