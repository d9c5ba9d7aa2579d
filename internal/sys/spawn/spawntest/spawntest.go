// Package spawntest has the tests that every way of starting programs must pass: what a program inherits, what
// it does not, and what is seen of one that cannot be executed.
package spawntest
