package app

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// StartProfile records where the daemon spends its time when --profile_options asked for that. The
// returned function ends the recording; the file can be read with "go tool pprof". The words of the
// option, which tell Python's profiler how to sort, have no meaning for it.
func StartProfile(p *supervisord.Profile) (stop func(), err error) {
	if p == nil {
		return func() {}, nil
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("supervisord-%d.pprof", os.Getpid()))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
		fmt.Fprintln(os.Stderr, "profile:", path)
	}, nil
}
