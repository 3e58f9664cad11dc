//go:build formatnext

package postgres

import "embed"

// The schema of a program after this one. Only tests build it, to run both side by side.
//
//go:embed migrations/*.sql migrations/0002_next.sql.formatnext
var migrations embed.FS
