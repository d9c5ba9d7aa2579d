// Package manual holds the names in the reference of Supervisor's manual against the code, and writes down where our
// own documentation describes each of them. The names are in testdata; the tests ask the code itself about every one.
package manual
