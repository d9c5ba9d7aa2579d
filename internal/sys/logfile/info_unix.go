//go:build unix

package logfile

import (
	"io/fs"
	"os"
	"syscall"
)

func infoOf(fi fs.FileInfo) Info {
	i := Info{Size: fi.Size(), Links: 1}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		i.Links, i.Dev, i.Ino = uint64(st.Nlink), uint64(st.Dev), uint64(st.Ino)
	}
	return i
}

// InfoOfFile says what an open file is.
func InfoOfFile(f *os.File) (Info, error) {
	fi, err := f.Stat()
	if err != nil {
		return Info{}, err
	}
	return infoOf(fi), nil
}
