package source

import (
	"io/fs"
	"syscall"
)

// stamp differs after every change of a file, also after one that keeps size and modification
// time: the time of the last change of its inode, in Unix nanoseconds, and which inode it is.
type stamp struct {
	at    int64
	inode uint64
}

func changed(info fs.FileInfo) stamp {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return stamp{st.Ctim.Nano(), st.Ino}
	}
	return stamp{}
}
