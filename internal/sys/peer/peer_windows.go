package peer

import (
	"net"

	"github.com/upkeep-project/upkeep/internal/sys/local"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
)

func user(c net.Conn) (uid int, ok bool) {
	p, is := c.(*local.Conn)
	if !is {
		return 0, false
	}
	switch rank, err := p.Client(); {
	case err != nil:
		return 0, false
	case rank == local.Same:
		return privilege.UID(), true
	case rank == local.Mighty:
		return 0, true
	}
	return 0, false
}
