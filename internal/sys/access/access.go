// Package access asks the operating system what this process may do with a file.
package access
