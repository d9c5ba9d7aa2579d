package supervisor

import "context"

// Step is what an apply would do to one program.
type Step struct {
	Group, Name string // without a name: values of the group itself
	Action      string // change, restart, add or remove
	Reason      string // when what differs takes effect, in words
	Refused     string // why an apply would refuse it, and everything with it; empty if it would not
	Fields      []FieldChange
}

// FieldChange is one value that differs. Of environment variables only names are told.
type FieldChange struct {
	Field, Old, New string
	Effect          string // none, live or restart
}

// Applied is what an apply has done to one program.
type Applied struct {
	Result
	Action string // change, restart, add or remove
}

// Info describes the daemon as its own methods do.
type Info struct {
	Version    string // of upkeep
	PID        int    // of the daemon
	Manager    int    // of the process that answers: another one after a crash or an upgrade
	RolledBack string // why the last upgrade was taken back; empty = it was not
}

// Adopted is a process that was taken as the instance of a program.
type Adopted struct {
	Group, Name string
	PID         int
	Start       int  // when it began, in seconds since 1970
	Output      bool // whether what it writes is logged
}

// Adopt takes a process that somebody else has started as the running instance of a program of which nothing runs.
// Only upkeep offers it.
func (c *Client) Adopt(ctx context.Context, name string, pid int) (Adopted, error) {
	const method = "upkeep.adopt"
	v, err := c.Call(ctx, method, name, pid)
	if err != nil {
		return Adopted{}, err
	}
	s, err := as[Struct](method, v)
	output, _ := s.Get("output").(bool)
	return Adopted{
		Group: s.Str("group"), Name: s.Str("name"), PID: s.Int("pid"), Start: s.Int("start"), Output: output,
	}, err
}

// Release lets the process of a program go: it lives on, and the program is STOPPED. Only upkeep offers it.
func (c *Client) Release(ctx context.Context, name string) error {
	const method = "upkeep.release"
	v, err := c.Call(ctx, method, name)
	if err != nil {
		return err
	}
	_, err = as[bool](method, v)
	return err
}

// Info tells which process answers. Only upkeep offers it.
func (c *Client) Info(ctx context.Context) (Info, error) {
	const method = "upkeep.getInfo"
	v, err := c.Call(ctx, method)
	if err != nil {
		return Info{}, err
	}
	s, err := as[Struct](method, v)
	return Info{
		Version: s.Str("version"), PID: s.Int("pid"), Manager: s.Int("manager"), RolledBack: s.Str("rolled_back"),
	}, err
}

// Plan reads the configuration and says what Apply would do. Only upkeep offers it: another daemon answers a
// *Fault of code 1.
func (c *Client) Plan(ctx context.Context) ([]Step, error) {
	return list(ctx, c, toStep, "upkeep.plan")
}

// Apply makes the configuration the running one, or only the groups named, and stops or starts no more than
// the changes ask for. Only upkeep offers it.
func (c *Client) Apply(ctx context.Context, groups ...string) ([]Applied, error) {
	if groups == nil {
		groups = []string{}
	}
	return list(ctx, c, toApplied, "upkeep.apply", groups)
}

func toApplied(method string, v any) (Applied, error) {
	r, err := toResult(method, v)
	s, _ := v.(Struct)
	return Applied{Result: r, Action: s.Str("action")}, err
}

func toStep(method string, v any) (Step, error) {
	s, err := as[Struct](method, v)
	if err != nil {
		return Step{}, err
	}
	out := Step{
		Group: s.Str("group"), Name: s.Str("name"), Action: s.Str("action"), Reason: s.Str("reason"), Refused: s.Str("refused"),
	}
	fields, err := as[[]any](method, s.Get("fields"))
	for _, f := range fields {
		m, err := as[Struct](method, f)
		if err != nil {
			return out, err
		}
		out.Fields = append(out.Fields, FieldChange{
			Field: m.Str("field"), Old: m.Str("old"), New: m.Str("new"), Effect: m.Str("effect"),
		})
	}
	return out, err
}
