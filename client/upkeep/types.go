package upkeep

import "time"

// System describes the daemon. GET /v1/system.
type System struct {
	Version     string   `json:"version"`
	PID         int      `json:"pid"`     // the one that people know
	Manager     int      `json:"manager"` // of the process that answers
	UID         int      `json:"uid"`
	Host        string   `json:"host"`
	State       string   `json:"state"`            // RUNNING, RESTARTING, SHUTDOWN
	Native      bool     `json:"native"`           // false: it runs a supervisord.conf
	Passive     bool     `json:"passive,omitzero"` // it watches and starts nothing by itself
	Config      string   `json:"config"`           // its file, whether it exists or not
	Programs    string   `json:"programs,omitempty"`
	Log         string   `json:"log,omitempty"` // the activity log
	RolledBack  string   `json:"rolled_back,omitempty"`
	Invalid     []string `json:"invalid"`      // files of definitions that cannot be used
	LastEvent   uint64   `json:"last_event"`   // the number of the newest event
	Environment string   `json:"path"`         // PATH that programs get
	ServerURL   string   `json:"url,omitzero"` // under which programs reach it by XML-RPC
}

// Who is whom the daemon takes the caller for. GET /v1/whoami.
type Who struct {
	UID       int    `json:"uid"`
	User      string `json:"user"`
	Transport string `json:"transport"`
	Role      string `json:"role"`
}

// Exit is how an instance ended. Exactly one of Code and Signal is set, neither when nobody knows.
type Exit struct {
	Code     *int    `json:"code"`
	Signal   *string `json:"signal"` // "SIGKILL"
	Core     bool    `json:"core,omitempty"`
	Expected bool    `json:"expected"`
	Unknown  string  `json:"unknown,omitempty"` // why nobody knows
	After    float64 `json:"after_s"`           // seconds that the instance ran
}

// Origin is where a definition stands.
type Origin struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Managed tells that the file belongs to upkeep, which may rewrite it.
	Managed bool `json:"managed"`
}

// Process is the status of one program. GET /v1/processes.
type Process struct {
	ID      string `json:"id"` // "group:name", or the name alone when both are equal
	Group   string `json:"group"`
	Name    string `json:"name"`
	Program string `json:"program"` // the section that defines it

	State     string     `json:"state"` // STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL, UNKNOWN
	StateCode int        `json:"statecode"`
	Since     *time.Time `json:"since"` // of the state as far as known: begin of the run, or its end
	PID       *int       `json:"pid"`
	Run       uint64     `json:"run"` // counts the starts

	NextTry  *time.Time `json:"next_try"` // BACKOFF
	Tries    int        `json:"tries"`    // failed attempts in a row
	Retries  int        `json:"retries"`  // further attempts that are made; -1 = without end
	LastExit *Exit      `json:"last_exit"`
	Summary  string     `json:"summary"` // one line about what is remarkable; empty when nothing is

	// Health is healthy or unhealthy by the checks of its instance, none while nothing is known; HealthText is what the first
	// check that fails has found.
	Health     string `json:"health"`
	HealthText string `json:"health_text,omitempty"`

	CPU     *float64 `json:"cpu_percent"`
	Memory  *int64   `json:"memory_bytes"`
	Listen  []string `json:"listen"`            // ":8000"
	Boot    bool     `json:"boot"`              // it starts with the daemon
	Adopted bool     `json:"adopted,omitempty"` // somebody else has started its process: its input and output are not the daemon's
	Reload  string   `json:"reload_signal,omitempty"`
	Command string   `json:"command"`
	Dir     string   `json:"directory,omitempty"`
	Stdout  string   `json:"stdout_log,omitempty"`
	Stderr  string   `json:"stderr_log,omitempty"`
	Origin  Origin   `json:"origin"`

	// Usage is what the process of its instance uses, TreeUsage that and all that descends from it; nil where many programs
	// are asked for at once, or the system does not tell.
	Usage     *Usage `json:"usage,omitempty"`
	TreeUsage *Usage `json:"tree_usage,omitempty"`

	// Tree are its processes, where they were asked for: the instance first, children behind their parents.
	Tree []Branch `json:"tree,omitempty"`

	// Surroundings are told only to who asks for them and may know.
	Surroundings *Surroundings `json:"surroundings,omitempty"`
}

// Usage is what a process uses, or several together.
type Usage struct {
	CPUUser   float64 `json:"cpu_user_seconds"`
	CPUSystem float64 `json:"cpu_system_seconds"`
	Memory    int64   `json:"memory_bytes"` // resident; what several share is counted for each
	Threads   int     `json:"threads"`
	Processes int     `json:"processes"`
	Files     *int    `json:"open_files"`    // null: not known
	Read      *int64  `json:"read_bytes"`    // from storage; null: not known
	Written   *int64  `json:"written_bytes"` // to storage; null: not known
}

// Branch is one process of a program.
type Branch struct {
	PID     int     `json:"pid"`
	Parent  int     `json:"parent"` // 0: the instance itself
	Command string  `json:"command"`
	Ended   bool    `json:"ended,omitempty"` // its parent has not taken notice yet
	CPU     float64 `json:"cpu_percent"`
	Memory  int64   `json:"memory_bytes"`
}

// Surroundings are what a program is executed in. The values of variables may be secrets.
type Surroundings struct {
	Dir   string   `json:"directory"`   // empty = that of the daemon
	Env   []string `json:"environment"` // all of it: NAME=VALUE, sorted
	UID   *int     `json:"uid"`         // null = that of the daemon
	Umask *int     `json:"umask"`       // null = that of the daemon
}

// Action is an order for several programs. POST /v1/actions.
type Action struct {
	Action string   `json:"action"` // start, stop, restart, reload, signal, release, clear
	Select []string `json:"select"` // selectors
	States []string `json:"states,omitempty"`
	Signal string   `json:"signal,omitempty"`
	Now    bool     `json:"now,omitempty"` // stop: kill at once
}

// Result is what came of an order for one program. Error is nil on success.
type Result struct {
	ID      string   `json:"id"`
	Done    bool     `json:"done"`
	Took    float64  `json:"took_s"`
	Process *Process `json:"process,omitempty"` // after it
	Error   *Problem `json:"error,omitempty"`
}

// Operation is an order under way or done. GET /v1/operations/{id}.
type Operation struct {
	ID      string    `json:"id"`
	Action  string    `json:"action"`
	State   string    `json:"state"` // running, done, failed
	Began   time.Time `json:"began"`
	By      string    `json:"started_by"`
	Results []Result  `json:"results"`
}

// Explanation says why a program is in its state. GET /v1/processes/{id}/why.
type Explanation struct {
	ID       string     `json:"id"`
	State    string     `json:"state"`
	Headline string     `json:"headline"`
	Cause    string     `json:"cause"` // stable word
	Failed   bool       `json:"failed"`
	Facts    []string   `json:"facts"`
	Evidence []Evidence `json:"evidence"`
	Checked  []string   `json:"checked"`
	Hints    []Hint     `json:"hints"`
	Timeline []Event    `json:"timeline"`
}

// Evidence is what was seen: lines of output, or of a check.
type Evidence struct {
	Kind  string   `json:"kind"` // stderr, stdout, check
	Lines []string `json:"lines"`
}

// Hint is one thing to do.
type Hint struct {
	Text    string `json:"text"`
	Command string `json:"command,omitempty"`
}

// Event is something that happened. GET /v1/events.
type Event struct {
	Seq      uint64    `json:"seq"`
	Time     time.Time `json:"time"`
	Type     string    `json:"type"`
	ID       string    `json:"process,omitempty"`
	Group    string    `json:"group,omitempty"`
	From     string    `json:"from,omitempty"` // the state that was left
	PID      int       `json:"pid,omitempty"`
	Tries    int       `json:"tries,omitempty"`
	Expected *bool     `json:"expected,omitempty"`
	Check    string    `json:"check,omitempty"` // CHECK_…: which one
	Text     string    `json:"text"`            // for people
}

// Check is one check of a program, and what it has found out about the present instance.
type Check struct {
	Name       string     `json:"name"`
	Kind       string     `json:"kind"`               // activity, memory, cpu, files, tcp, unix, http, command, log, notify, heartbeat
	Stage      string     `json:"stage"`              // live, ready, startup
	Action     string     `json:"action,omitempty"`   // live: restart, alert, event
	Definition string     `json:"definition"`         // as it is configured
	Verdict    string     `json:"verdict"`            // passing, failing; none: it has not looked often enough
	Text       string     `json:"text"`               // what the last look has found
	Time       *time.Time `json:"time"`               // of the last look
	Took       float64    `json:"took_seconds"`       // that look
	Looks      uint64     `json:"looks"`              // since the daemon has begun
	Failed     uint64     `json:"failed"`             // of those
	Acted      uint64     `json:"acted"`              // how often its action was taken
	Disabled   string     `json:"disabled,omitempty"` // why it does not look at all
}

// LogLine is one line of a log, or a mark between lines.
type LogLine struct {
	ID     string    `json:"process"` // empty: the daemon's own
	Stream string    `json:"stream"`  // stdout, stderr
	Time   time.Time `json:"time"`
	Run    uint64    `json:"run,omitempty"`
	Text   string    `json:"text,omitempty"` // invalid UTF-8 is replaced
	Mark   string    `json:"mark,omitempty"` // "restarted (exit 3)": no line of the log
}

// Definition is what a program is made of. GET /v1/programs/{name}.
type Definition struct {
	Name    string  `json:"name"`
	Origin  Origin  `json:"origin"`
	Text    string  `json:"text"`             // of the file, for managed definitions
	ETag    string  `json:"etag"`             // of the text
	Values  []Value `json:"values,omitempty"` // in force, with where they come from
	Invalid string  `json:"invalid,omitempty"`
}

// Value is one value in force.
type Value struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"` // "default", "web.conf:3", "defaults:web"
}

// Change is one value that differs.
type Change struct {
	Key    string `json:"key"`
	Old    string `json:"old"`
	New    string `json:"new"`
	Effect string `json:"effect"` // live, restart, none
}

// Edited is a definition that was stored. PUT /v1/programs/{name}.
type Edited struct {
	Name  string `json:"name"`
	File  string `json:"file"`
	Steps []Step `json:"steps"` // what applying it does
}

// Step is what applying the configuration does to one program.
type Step struct {
	ID      string   `json:"id"`
	Action  string   `json:"action"` // add, remove, change, restart
	Fields  []Change `json:"fields"`
	Reason  string   `json:"reason"`
	Refused string   `json:"refused,omitempty"` // why it would not be done, nor anything else
	Error   *Problem `json:"error,omitempty"`   // after it was tried
}

// Plan is what applying the configuration does, or has done.
type Plan struct {
	Steps    []Step    `json:"steps"`
	Problems []Mistake `json:"problems"` // in files of definitions: what they define is left as it is
	Applied  bool      `json:"applied"`
}

// Mistake is something wrong in a configuration.
type Mistake struct {
	File       string `json:"file,omitempty"`
	Line       int    `json:"line,omitempty"`
	Key        string `json:"key,omitempty"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion,omitempty"`
}

// Problem is why a request was refused or an order failed: an RFC 9457 problem document. Title, Detail, Evidence and
// Hints are the texts that every face shows.
type Problem struct {
	Type      string     `json:"type"`
	Title     string     `json:"title"`
	Status    int        `json:"status"`
	Code      string     `json:"code"` // stable word: not_found, invalid_config, start_failed, ...
	Detail    string     `json:"detail,omitempty"`
	Process   string     `json:"process,omitempty"`
	Instance  string     `json:"instance,omitempty"` // the operation that failed
	RequestID string     `json:"request_id,omitempty"`
	Evidence  []Evidence `json:"evidence,omitempty"`
	Checked   []string   `json:"checked,omitempty"`
	Hints     []Hint     `json:"hints,omitempty"`
	Errors    []Mistake  `json:"errors,omitempty"`
}

// Error is the title and the detail.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// list is the answer to a question for many.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// List is the form in which several things are answered. It never says null for nothing.
func List[T any](items []T) any {
	if items == nil {
		items = []T{}
	}
	return list[T]{Items: items}
}

// Adoption says which process a program is to take over: all of what is said must hold of it.
type Adoption struct {
	Program   string     `json:"program"`
	PID       int        `json:"pid,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"` // of PID: a number is given anew
	Port      int        `json:"port,omitempty"`       // where it listens
	PIDFile   string     `json:"pid_file,omitempty"`   // a file of the daemon's machine with its pid
	Title     string     `json:"title,omitempty"`      // a regular expression (RE2) for its command line
	Command   string     `json:"command,omitempty"`    // its command line, element by element
}

// Adoptable is a process that could be adopted.
type Adoptable struct {
	PID       int        `json:"pid"`
	Parent    int        `json:"parent"`
	User      string     `json:"user"`
	UID       int        `json:"uid"`
	StartTime *time.Time `json:"start_time"` // nil = not known
	CPU       float64    `json:"cpu"`        // percent of one processor, since it began
	Memory    int64      `json:"memory"`     // resident bytes
	Listen    []string   `json:"listen"`     // where it listens; empty also when there are very many processes
	Args      []string   `json:"args"`
	Directory string     `json:"directory"` // empty when that may not be seen
	Name      string     `json:"name"`      // one that a program made of it could have
	Ignores   []string   `json:"ignores"`   // of TERM, INT and HUP: a stop by one of them will need KILL
}
