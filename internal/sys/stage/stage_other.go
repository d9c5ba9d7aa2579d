//go:build !linux

package stage

import "errors"

// file is not there.
type file struct{ fd int }

func newFile() (*file, error) { return nil, errors.ErrUnsupported }

func adoptFile(int) (*file, int64, error) { return nil, 0, errForeign }

func (*file) state() []byte                     { return nil }
func (*file) commit([]byte)                     {}
func (*file) fill(int, int64, int) (int, error) { return 0, errors.ErrUnsupported }
func (*file) readAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }
func (*file) truncate(int64) error              { return errors.ErrUnsupported }
func (*file) free(int64)                        {}
func (*file) close()                            {}
