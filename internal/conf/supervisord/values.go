package supervisord

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// The value types that need the outside world or the model. Source: spec/supervisor 1.6.

// existingDirectory checks a directory and gives it with ~ expanded.
func (e *Environ) existingDirectory(v string) (string, error) {
	dir := e.expandUser(v)
	if !e.isDir(dir) {
		return "", errors.New(v + " is not an existing directory")
	}
	return dir, nil
}

// existingDirPath checks that the directory of a file exists and gives the name with ~ expanded.
func (e *Environ) existingDirPath(v string) (string, error) {
	name := e.expandUser(v)
	if dir := dirName(name); dir != "" && !e.isDir(dir) {
		return "", errors.New("The directory named as part of the path " + v + " does not exist")
	}
	return name, nil
}

// user finds a user by name or existing id.
func (e *Environ) user(v string) (User, error) {
	if id, err := units.Int(v); err == nil {
		if id >= 0 && id <= math.MaxUint32 {
			if u, ok := e.Users.UserByID(int(id)); ok {
				return u, nil
			}
		}
		return User{}, errors.New("Invalid user id " + v)
	}
	u, ok := e.Users.UserByName(v)
	if !ok {
		return User{}, errors.New("Invalid user name " + v)
	}
	return u, nil
}

// owner reads user[:group]; the group is -1 when it is not given.
func (e *Environ) owner(v string) (model.Owner, error) {
	bad := errors.New("Invalid user:group definition " + v)
	name, group, withGroup := strings.Cut(v, ":")
	u, err := e.user(name)
	if err != nil {
		return model.Owner{}, bad
	}
	o := model.Owner{UID: u.UID, GID: -1}
	if !withGroup {
		return o, nil
	}
	if id, err := units.Int(group); err == nil {
		if id < 0 || id > math.MaxUint32 || !e.Users.GroupByID(int(id)) {
			return model.Owner{}, bad
		}
		o.GID = int(id)
		return o, nil
	}
	gid, ok := e.Users.GroupByName(group)
	if !ok {
		return model.Owner{}, bad
	}
	o.GID = gid
	return o, nil
}

// logFile is the value of a *_logfile option.
type logFile struct {
	kind   model.LogKind
	path   string
	syslog bool // the deprecated word syslog
}

// logFileName reads a *_logfile option.
func (e *Environ) logFileName(v string) (logFile, error) {
	switch strings.ToLower(v) {
	case "", "none", "off":
		return logFile{kind: model.LogNone}, nil
	case "auto":
		return logFile{kind: model.LogAuto}, nil
	case "syslog":
		return logFile{kind: model.LogNone, syslog: true}, nil
	}
	name, err := e.existingDirPath(v)
	return logFile{kind: model.LogFile, path: name}, err
}

// autoRestart reads a boolean or the word unexpected.
func autoRestart(v string) (model.Restart, error) {
	if strings.ToLower(v) == "unexpected" {
		return model.RestartUnexpected, nil
	}
	always, err := units.Bool(v)
	switch {
	case err != nil:
		return 0, errors.New("invalid 'autorestart' value " + pytext.Repr(v))
	case always:
		return model.RestartAlways, nil
	}
	return model.RestartNever, nil
}

// choice reads one of two words and reports whether it is the first.
func choice(key, v, first, second string) (bool, error) {
	switch strings.ToLower(v) {
	case first:
		return true, nil
	case second:
		return false, nil
	}
	return false, errors.New("invalid '" + key + "' value " + pytext.Repr(v))
}

// clampInt narrows to int.
func clampInt(n int64) int { return int(max(math.MinInt, min(math.MaxInt, n))) }

// seconds is a duration, bounded instead of wrapped.
func seconds(n int64) time.Duration {
	const limit = math.MaxInt64 / int64(time.Second)
	return time.Duration(max(-limit, min(limit, n))) * time.Second
}
