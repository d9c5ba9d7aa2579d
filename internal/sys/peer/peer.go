// Package peer tells who is at the other end of a unix socket, or of the pipe that stands for one. Source: interfaces 4.5.
package peer

import "net"

// UID is the user at the other end, as the system knows it; false when that cannot be told: another kind of connection,
// another system. On Windows, where users have no numbers, it is privilege.UID for the user of this process and 0 for the
// system and administrators.
func UID(c net.Conn) (uid int, ok bool) { return user(c) }
