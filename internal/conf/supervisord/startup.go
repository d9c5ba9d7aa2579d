package supervisord

import "strconv"

// Errors that a daemon meets between a good configuration and its first program, in the words that are
// known. Source: spec/supervisor 1.11.

// ErrListening is for a port or socket that a living server holds.
func ErrListening() *Error {
	return &Error{Text: "Another program is already listening on a port that one of our HTTP servers is configured to use.  " +
		"Shut this program down first before starting supervisord."}
}

// ErrOpenServer is for other failures to open an HTTP server: the system's name and number of the error,
// ENOENT and 2.
func ErrOpenServer(name string, number int) *Error {
	return &Error{Text: "Cannot open an HTTP server: socket.error reported errno." + name + " (" + strconv.Itoa(number) + ")"}
}

// ErrChown is for a unix socket that cannot be given to its owner by the user we are.
func ErrChown(path string, uid, gid int, user string) *Error {
	return &Error{Text: "Not permitted to chown " + path + " to uid/gid (" + strconv.Itoa(uid) + ", " + strconv.Itoa(gid) +
		"); adjust \"sockchown\" value in config file or on command line to values that the current user (" + user +
		") can successfully chown"}
}

// ErrMinFDs is for a limit of open files that cannot be raised to minfds; hard is the limit's upper bound.
// Source: spec/supervisor 10.2 F39.
func ErrMinFDs(want int, hard uint64) *Error {
	return &Error{Text: "The minimum number of file descriptors required to run this process is " + strconv.Itoa(want) +
		" as per the \"minfds\" command-line argument or config file setting. The current environment will only allow you to open " +
		strconv.FormatUint(hard, 10) + " file descriptors.  Either raise the number of usable file descriptors in your environment " +
		"(see README.rst) or lower the minfds setting in the config file to allow the process to start."}
}

// ErrMinProcs is the same for minprocs.
func ErrMinProcs(want int, hard uint64) *Error {
	return &Error{Text: "The minimum number of available processes required to run this program is " + strconv.Itoa(want) +
		" as per the \"minprocs\" command-line argument or config file setting. The current environment will only allow you to open " +
		strconv.FormatUint(hard, 10) + " processes.  Either raise the number of usable processes in your environment " +
		"(see README.rst) or lower the minprocs setting in the config file to allow the program to start."}
}

// ErrNotRoot is for a daemon that is to run as another user but was not started by root.
func ErrNotRoot() *Error { return &Error{Text: "Can't drop privilege as nonroot user"} }
