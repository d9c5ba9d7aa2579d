// Package script plays what people type into a terminal: the first minute, and what the command answers when something
// is wrong. The scripts drive the real binary as an ordinary user, with real programs.
package script
