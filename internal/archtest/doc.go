// Package archtest holds the rules of the source tree and the tests that keep them: which package may
// import which, where build tags may stand, and what no file may contain. The rules are data here; the
// tests compare them with the tree and with docs/architecture.md. Nothing imports this package.
package archtest
