package peers

import "syscall"

// endWithParent lets the child be killed when this process ends without Close.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
