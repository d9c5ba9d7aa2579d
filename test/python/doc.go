// Package python tests the modules of contrib/python with the Python of this machine: against the product's
// daemon, over pipes, and against the original's modules where those are installed.
package python
