package boot

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// kind is what may stand at a place of a property list: the names of elements, and what is in those that hold others.
type kind struct {
	names []string        // string, integer, true and false, array, dict
	of    *kind           // what an array holds, or a dict whose keys are free
	keys  map[string]kind // what a dict may have; nil = its keys are free
	words []string        // what a string may be; nil = anything
}

// The kinds that are in no need of a name of their own.
var (
	text    = kind{names: []string{"string"}}
	number  = kind{names: []string{"integer"}}
	yesNo   = kind{names: []string{"true", "false"}}
	list    = kind{names: []string{"array"}, of: &text}
	textual = kind{names: []string{"dict"}, of: &text}
	limits  = kind{names: []string{"dict"}, keys: map[string]kind{
		"Core": number, "CPU": number, "Data": number, "FileSize": number, "MemoryLock": number, "NumberOfFiles": number,
		"NumberOfProcesses": number, "ResidentSetSize": number, "Stack": number,
	}}
	calendar = kind{names: []string{"dict", "array"}, of: &kind{names: []string{"dict"}, keys: calendarKeys}, keys: calendarKeys}
	flags    = kind{names: []string{"dict"}, of: &yesNo}
)

var calendarKeys = map[string]kind{"Minute": number, "Hour": number, "Day": number, "Weekday": number, "Month": number}

// job is what a file of launchd may hold: the keys that its manual names, with their types. Those that are documented as
// being without effect, or not to be used, are not here. Source: launchd.plist(5).
func job() kind {
	return kind{names: []string{"dict"}, keys: map[string]kind{
		"Label": text, "Disabled": yesNo, "UserName": text, "GroupName": text,
		"inetdCompatibility":     {names: []string{"dict"}, keys: map[string]kind{"Wait": yesNo, "Instances": number}},
		"LimitLoadToSessionType": {names: []string{"string", "array"}, of: &text},
		"LimitLoadToHardware":    textual, "LimitLoadFromHardware": textual,
		"Program": text, "BundleProgram": text, "ProgramArguments": list,
		"EnableGlobbing": yesNo, "EnableTransactions": yesNo, "EnablePressuredExit": yesNo,
		"KeepAlive": {names: []string{"true", "false", "dict"}, keys: map[string]kind{
			"SuccessfulExit": yesNo, "Crashed": yesNo, "AfterInitialDemand": yesNo, "PathState": flags, "OtherJobEnabled": flags,
		}},
		"RunAtLoad": yesNo, "RootDirectory": text, "WorkingDirectory": text, "EnvironmentVariables": textual,
		"Umask": {names: []string{"integer", "string"}}, "TimeOut": number, "ExitTimeOut": number, "ThrottleInterval": number, "InitGroups": yesNo,
		"WatchPaths": list, "QueueDirectories": list, "StartOnMount": yesNo, "StartInterval": number, "StartCalendarInterval": calendar,
		"StandardInPath": text, "StandardOutPath": text, "StandardErrorPath": text, "Debug": yesNo, "WaitForDebugger": yesNo,
		"SoftResourceLimits": limits, "HardResourceLimits": limits, "Nice": number,
		"ProcessType":         {names: []string{"string"}, words: []string{"Background", "Standard", "Adaptive", "Interactive"}},
		"AbandonProcessGroup": yesNo, "LowPriorityIO": yesNo, "LowPriorityBackgroundIO": yesNo, "MaterializeDatalessFiles": yesNo,
		"LaunchOnlyOnce": yesNo, "SessionCreate": yesNo, "LegacyTimers": yesNo,
		"AssociatedBundleIdentifiers": {names: []string{"string", "array"}, of: &text},
	}}
}

// element is one of a property list.
type element struct {
	name string
	text string
	in   []element
}

// plist reads a property list strictly: one value, and nothing beside it.
func plist(source string) (element, error) {
	d := xml.NewDecoder(strings.NewReader(source))
	var read func(start xml.StartElement) (element, error)
	read = func(start xml.StartElement) (element, error) {
		e := element{name: start.Name.Local}
		for {
			t, err := d.Token()
			if err != nil {
				return e, err
			}
			switch t := t.(type) {
			case xml.StartElement:
				in, err := read(t)
				if err != nil {
					return e, err
				}
				e.in = append(e.in, in)
			case xml.EndElement:
				return e, nil
			case xml.CharData:
				e.text += string(t)
			}
		}
	}
	var top *element
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return element{}, err
		}
		if start, ok := t.(xml.StartElement); ok {
			e, err := read(start)
			if err != nil {
				return element{}, err
			}
			top = &e
		}
	}
	if top == nil || top.name != "plist" || len(top.in) != 1 {
		return element{}, errors.New("it is no plist with one value")
	}
	return top.in[0], nil
}

// wrong is what an element has that its kind does not allow.
func (k kind) wrong(at string, e element) []string {
	if !slices.Contains(k.names, e.name) {
		return []string{fmt.Sprintf("%s: %s instead of %s", at, e.name, strings.Join(k.names, " or "))}
	}
	var out []string
	switch e.name {
	case "true", "false":
		if e.text != "" || len(e.in) > 0 {
			out = append(out, at+": a flag with something in it")
		}
	case "integer":
		if _, err := strconv.ParseInt(e.text, 10, 64); err != nil {
			out = append(out, at+": "+err.Error())
		}
	case "string":
		if len(e.in) > 0 || k.words != nil && !slices.Contains(k.words, e.text) {
			out = append(out, fmt.Sprintf("%s: %q", at, e.text))
		}
	case "array":
		for i, in := range e.in {
			out = append(out, k.of.wrong(fmt.Sprintf("%s[%d]", at, i), in)...)
		}
	case "dict":
		out = append(out, k.wrongDict(at, e)...)
	}
	if (e.name == "array" || e.name == "dict") && strings.TrimSpace(e.text) != "" {
		out = append(out, at+": text between the elements")
	}
	return out
}

func (k kind) wrongDict(at string, e element) (out []string) {
	seen := map[string]bool{}
	for i := 0; i < len(e.in); i += 2 {
		if e.in[i].name != "key" || i+1 == len(e.in) {
			return append(out, at+": not keys and values in turn")
		}
		key := e.in[i].text
		in, known := k.keys[key]
		if k.keys == nil {
			in, known = *k.of, true
		}
		switch {
		case !known:
			out = append(out, at+"."+key+": there is no such key")
		case seen[key]:
			out = append(out, at+"."+key+": twice")
		default:
			out = append(out, in.wrong(at+"."+key, e.in[i+1])...)
		}
		seen[key] = true
	}
	return out
}

// get is a value of a dict; nil = it has none.
func (e element) get(key string) *element {
	for i := 0; i+1 < len(e.in); i += 2 {
		if e.in[i].text == key {
			return &e.in[i+1]
		}
	}
	return nil
}

// launchdWrong is what launchd would not take, or would take for something else.
func launchdWrong(source string, agent bool) []string {
	top, err := plist(source)
	if err != nil {
		return []string{err.Error()}
	}
	out := job().wrong("job", top)
	if l := top.get("Label"); l == nil || l.text == "" {
		out = append(out, "Label is required")
	}
	argv := top.get("ProgramArguments")
	if top.get("Program") == nil && (argv == nil || len(argv.in) == 0) {
		out = append(out, "Program or ProgramArguments is required")
	}
	if argv != nil && len(argv.in) > 0 && top.get("Program") == nil && !strings.HasPrefix(argv.in[0].text, "/") {
		out = append(out, "the program has no absolute path")
	}
	for _, key := range []string{"UserName", "GroupName", "RootDirectory", "InitGroups"} {
		if agent && top.get(key) != nil {
			out = append(out, key+" is of daemons alone")
		}
	}
	return out
}

// TestLaunchdSchema holds the texts against what launchd documents, and the check against texts that it must refuse.
func TestLaunchdSchema(t *testing.T) {
	machine, session := newFake(t, 0), newFake(t, 1000)
	for _, target := range []Target{plain(), rich()} {
		for _, l := range []launchd{{machine.Host, false}, {session.Host, true}} {
			source, err := l.content(target)
			if err != nil {
				t.Fatal(err)
			}
			if found := launchdWrong(source, l.agent); len(found) > 0 {
				t.Errorf("%s, %s: %q", l.Name(), target.Name, found)
			}
		}
	}
	good, err := launchd{machine.Host, false}.content(rich())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"<key>RunAtLoad</key>", "<key>RunAtload</key>", "job.RunAtload: there is no such key"},
		{"<key>SuccessfulExit</key>", "<key>Successful</key>", "job.KeepAlive.Successful: there is no such key"},
		{"<integer>120</integer>", "<string>120</string>", "job.ExitTimeOut: string instead of integer"},
		{"<integer>120</integer>", "<integer>120s</integer>", `job.ExitTimeOut: strconv.ParseInt: parsing "120s": invalid syntax`},
		{"<key>AbandonProcessGroup</key>\n\t<true/>", "<key>AbandonProcessGroup</key>\n\t<string>yes</string>", "job.AbandonProcessGroup: string instead of true or false"},
		{"<key>AbandonProcessGroup</key>", "<key>RunAtLoad</key>\n\t<true/>\n\t<key>AbandonProcessGroup</key>", "job.RunAtLoad: twice"},
		{"<key>Label</key>", "<key>Program</key>", "Label is required"},
		{"<key>ProgramArguments</key>", "<key>WatchPaths</key>", "Program or ProgramArguments is required"},
		{"<string>/opt/up keep/upkeep</string>", "<string>upkeep</string>", "the program has no absolute path"},
		{"<string>supervisord</string>", "<integer>1</integer>", "job.ProgramArguments[1]: integer instead of string"},
		{"<key>ODD</key>", "", "job.EnvironmentVariables: not keys and values in turn"},
		{"</dict>\n</plist>", "</dict><true/></plist>", "it is no plist with one value"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if found := launchdWrong(bad, false); bad == good || !slices.Contains(found, c.want) {
			t.Errorf("%q for %q: %q, want %q", c.new, c.old, found, c.want)
		}
	}
	if found := launchdWrong(good, true); !slices.Contains(found, "UserName is of daemons alone") {
		t.Errorf("an agent with a user: %q", found)
	}
}
