// Package peek looks at files for somebody else: a daemon of root explains why a program of another user failed, and
// must neither be led by links to what that user may not see, nor hang, nor read more than it needs.
//
// A path is walked component by component, links included, by the permission bits that hold for the given user; what
// it cannot reach is an *Obstacle that names the component. Files are opened without following a link, must be regular,
// and must be the very files that the walk has found. Access lists beyond the permission bits are not seen: who is
// let in by one of them gets an obstacle here, and so less is explained, never too much shown.
//
// Source: spec/reliability S12.
package peek

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Who is the user with whose eyes is looked. UID 0 may see everything. On systems without such users everything is
// allowed that the daemon may do.
type Who struct {
	UID    int
	Groups []int // all of them, the primary one too
}

// Reason is what an obstacle is.
type Reason uint8

// The reasons.
const (
	Missing       Reason = iota // there is nothing of that name
	NotADirectory               // something in the middle of the path is a file
	NotSearchable               // a directory may not be passed through
	NotAllowed                  // it is there, and the permission that was asked for is not
	Loop                        // too many links
	Odd                         // neither a file nor a directory, or it changed meanwhile
	Failed                      // the system refused for another reason
)

// Obstacle says where a walk ended, and why.
type Obstacle struct {
	Path   string // the component
	Reason Reason
	Err    error // the system's, if there is one
}

// Error is a text for people: "/home/sam may not be entered".
func (o *Obstacle) Error() string {
	switch o.Reason {
	case Missing:
		return o.Path + " does not exist"
	case NotADirectory:
		return o.Path + " is not a directory"
	case NotSearchable:
		return o.Path + " may not be entered"
	case NotAllowed:
		return o.Path + " does not allow it"
	case Loop:
		return o.Path + " is a loop of links"
	case Odd:
		return o.Path + " is neither a file nor a directory"
	}
	return fmt.Sprintf("%s cannot be looked at: %v", o.Path, o.Err)
}

// Unwrap is the system's error.
func (o *Obstacle) Unwrap() error { return o.Err }

// Found is what a path leads to.
type Found struct {
	Path string // without links
	Info fs.FileInfo
}

// Right is a permission.
type Right uint8

// The rights, as in the permission bits; Here asks for nothing but that it exists.
const (
	Here  Right = 0
	Exec  Right = 1 // of a directory: to pass through
	Write Right = 2
	Read  Right = 4
)

// Bounds of a walk: as many links as the kernel follows, and no longer paths than it takes.
const (
	maxLinks = 40
	maxPath  = 4096
)

// Walk finds what an absolute path leads to, and checks a right on it. The error is an *Obstacle.
func (w Who) Walk(path string, right Right) (Found, error) {
	if !filepath.IsAbs(path) || len(path) > maxPath {
		return Found{}, &Obstacle{Path: path, Reason: Failed, Err: fs.ErrInvalid}
	}
	volume := filepath.VolumeName(path)
	root := volume + string(filepath.Separator)
	at, rest := root, parts(path[len(volume):])
	info, err := os.Lstat(root)
	if err != nil {
		return Found{}, obstacle(root, err)
	}
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if !info.IsDir() {
			return Found{}, &Obstacle{Path: at, Reason: NotADirectory}
		}
		if !w.may(info, Exec) {
			return Found{}, &Obstacle{Path: at, Reason: NotSearchable}
		}
		next := filepath.Join(at, name) // ".." is its parent: at has no links
		if info, err = os.Lstat(next); err != nil {
			return Found{}, obstacle(next, err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return Found{}, &Obstacle{Path: path, Reason: Loop}
		}
		to, err := os.Readlink(next)
		if err != nil {
			return Found{}, obstacle(next, err)
		}
		if filepath.IsAbs(to) {
			at = filepath.VolumeName(to) + string(filepath.Separator)
		}
		rest = append(parts(to[len(filepath.VolumeName(to)):]), rest...)
		if info, err = os.Lstat(at); err != nil {
			return Found{}, obstacle(at, err)
		}
	}
	if !w.may(info, right) {
		return Found{at, info}, &Obstacle{Path: at, Reason: NotAllowed}
	}
	return Found{at, info}, nil
}

// parts are the components of a path; what means the same directory is left out.
func parts(path string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == filepath.Separator }),
		func(s string) bool { return s == "." })
}

func obstacle(path string, err error) *Obstacle {
	reason := Failed
	switch {
	case errors.Is(err, fs.ErrNotExist):
		reason = Missing
	case errors.Is(err, fs.ErrPermission):
		reason = NotSearchable
	}
	return &Obstacle{Path: path, Reason: reason, Err: err}
}

// File is the begin of a regular file, at most limit bytes of it. The error is an *Obstacle.
func (w Who) File(path string, limit int) ([]byte, error) {
	f, err := w.open(path, Read, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)))
	if err != nil {
		return nil, &Obstacle{Path: path, Reason: Failed, Err: err}
	}
	return b, nil
}

// Head is the begin of a regular file that the user may execute, whether it may read it or not: what the kernel reads
// to execute it. It is for deciding; of what it says only the first line of a script may be shown.
func (w Who) Head(path string, limit int) ([]byte, error) {
	f, err := w.open(path, Exec, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, limit)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, &Obstacle{Path: path, Reason: Failed, Err: err}
	}
	return b[:n], nil
}

// Names lists a directory, unsorted and at most limit names. The error is an *Obstacle.
func (w Who) Names(path string, limit int) ([]string, error) {
	f, err := w.open(path, Read, true)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(limit)
	if err != nil && !errors.Is(err, io.EOF) {
		return names, &Obstacle{Path: path, Reason: Failed, Err: err}
	}
	return names, nil
}

// open opens what the walk finds, and makes sure that it is that.
func (w Who) open(path string, right Right, directory bool) (*os.File, error) {
	found, err := w.Walk(path, right)
	if err != nil {
		return nil, err
	}
	if found.Info.IsDir() != directory || (!directory && !found.Info.Mode().IsRegular()) {
		return nil, &Obstacle{Path: found.Path, Reason: Odd}
	}
	f, err := os.OpenFile(found.Path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, obstacle(found.Path, err)
	}
	info, err := f.Stat()
	if err != nil || !os.SameFile(info, found.Info) {
		f.Close()
		return nil, &Obstacle{Path: found.Path, Reason: Odd, Err: err}
	}
	return f, nil
}
