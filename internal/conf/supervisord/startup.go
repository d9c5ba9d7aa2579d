package supervisord

import "strconv"

// Errors that a daemon meets between a good configuration and its first program, in the words that are
// known. Source: spec/supervisor 1.11.

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
