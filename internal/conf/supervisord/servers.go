package supervisord

import (
	"errors"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// servers reads the HTTP listeners. Sections match by prefix; what follows a colon names the server.
func (r *reader) servers() ([]Server, error) {
	var list []Server
	for _, kind := range []struct {
		prefix string
		read   func(*ini.Section) (Server, error)
	}{{"inet_http_server", r.inetServer}, {"unix_http_server", r.unixServer}} {
		for _, sect := range r.doc.Sections() {
			if !strings.HasPrefix(sect.Name, kind.prefix) {
				continue
			}
			s, err := kind.read(sect)
			if err != nil {
				return nil, err
			}
			s.Section, s.Origin = sect.Name, origin(sect)
			_, s.Name, _ = strings.Cut(sect.Name, ":")
			list = append(list, s)
		}
	}
	return list, nil
}

// missing is the error for a section without a key that it cannot do without.
func missing(sect *ini.Section, key string) error {
	if strings.Contains(key, ".") {
		return errors.New("section [" + sect.Name + "] does not specify a " + key)
	}
	return errors.New("section [" + sect.Name + "] has no " + key + " value")
}

// credentials reads username and password; both or none.
func (o *options) credentials(s *Server) {
	var withName, withPassword bool
	s.Username, withName = o.text("username")
	s.Password, withPassword = o.text("password")
	if withName != withPassword {
		o.fail("username", errors.New("Section ["+o.sect.Name+"] contains incomplete authentication: If a username or a password is "+
			"specified, both the username and password must be specified"))
	}
}

func (r *reader) inetServer(sect *ini.Section) (Server, error) {
	s := Server{Owner: model.Owner{UID: -1, GID: -1}}
	o := r.options(sect, nil)
	o.credentials(&s)
	port, ok := o.text("port")
	if !ok {
		o.fail("port", missing(sect, "port"))
		return s, o.failure()
	}
	var err error
	s.Host, s.Port, err = units.InetAddress(port)
	o.fail("port", err)
	s.InsecureHTTP = o.boolean("insecure_http", false)
	return s, o.failure()
}

func (r *reader) unixServer(sect *ini.Section) (Server, error) {
	s := Server{Unix: true, Mode: 0o700, Owner: model.Owner{UID: -1, GID: -1}}
	o := r.options(sect, scope{"here": r.here})
	file, ok := o.text("file")
	if !ok {
		o.fail("file", missing(sect, "file"))
		return s, o.failure()
	}
	s.File = r.env.normalize(pytext.Strip(file))
	o.sc = nil
	o.credentials(&s)
	if text, ok := o.text("chown"); ok {
		owner, err := r.env.owner(text)
		if err != nil {
			o.fail("chown", errors.New("Invalid sockchown value "+text))
		}
		s.Owner = owner
	}
	if text, ok := o.text("chmod"); ok {
		mode, err := units.Octal(text)
		if err != nil {
			o.fail("chmod", errors.New("Invalid chmod value "+text))
		}
		s.Mode = uint32(mode & 0o7777)
	}
	return s, o.failure()
}
