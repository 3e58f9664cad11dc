package peers

import (
	"os"
	"syscall"
)

// endWithParent lets the child be killed when this process ends without Close.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

const (
	nobody     = 65534 // a user without rights
	readSearch = 2     // CAP_DAC_READ_SEARCH: directories of tests are their user's own
)

// notRoot is endWithParent for a program that refuses to run as root: then it runs as nobody.
func notRoot() *syscall.SysProcAttr {
	attr := endWithParent()
	if os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		attr.AmbientCaps = []uintptr{readSearch}
	}
	return attr
}

// giveAway makes a file that of the user whom notRoot runs programs as.
func giveAway(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, nobody, nobody)
}
