package getopt

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func declared() []Option {
	return []Option{
		{Short: 'c', Long: "configuration", Arg: true},
		{Short: 'n', Long: "nodaemon"},
		{Short: 'k', Long: "nocleanup"},
		{Short: 'h', Long: "help"},
		{Short: '?'},
		{Long: "min", Arg: true},
		{Long: "minfds", Arg: true},
		{Long: "minprocs", Arg: true},
		{Long: "history_file", Arg: true},
		{Long: "no-keeper"},
	}
}

func TestParse(t *testing.T) {
	type opt struct{ Spelling, Value string }
	for _, tc := range []struct {
		name string
		argv []string
		want []opt
		rest []string
	}{
		{"nothing", nil, nil, nil},
		{"short with the next word", []string{"-c", "x"}, []opt{{"-c", "x"}}, []string{}},
		{"short with the rest of the word", []string{"-cx"}, []opt{{"-c", "x"}}, []string{}},
		{"an argument may look like an option", []string{"-c", "-n"}, []opt{{"-c", "-n"}}, []string{}},
		{"bundled", []string{"-nkc", "x", "y"}, []opt{{"-n", ""}, {"-k", ""}, {"-c", "x"}}, []string{"y"}},
		{"bundled with attached", []string{"-nc=x"}, []opt{{"-n", ""}, {"-c", "=x"}}, []string{}},
		{"no long name", []string{"-?"}, []opt{{"-?", ""}}, []string{}},
		{"long with equals", []string{"--configuration=a=b"}, []opt{{"--configuration", "a=b"}}, []string{}},
		{"long with an empty value", []string{"--configuration=", "x"}, []opt{{"--configuration", ""}}, []string{"x"}},
		{"long with the next word", []string{"--conf", "x"}, []opt{{"--configuration", "x"}}, []string{}},
		{"unique prefix", []string{"--nod"}, []opt{{"--nodaemon", ""}}, []string{}},
		{"exact beats prefix", []string{"--min=3"}, []opt{{"--min", "3"}}, []string{}},
		{"a dash for an underscore", []string{"--history-file=x"}, []opt{{"--history_file", "x"}}, []string{}},
		{"an underscore for a dash", []string{"--no_k"}, []opt{{"--no-keeper", ""}}, []string{}},
		{"stops at a word", []string{"-n", "stop", "-k"}, []opt{{"-n", ""}}, []string{"stop", "-k"}},
		{"stops at a dash", []string{"-n", "-", "-k"}, []opt{{"-n", ""}}, []string{"-", "-k"}},
		{"stops at two dashes", []string{"-n", "--", "-k"}, []opt{{"-n", ""}}, []string{"-k"}},
		{"empty word", []string{"", "-n"}, nil, []string{"", "-n"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			options := declared()
			found, rest, err := Parse(options, tc.argv)
			if err != nil {
				t.Fatal(err)
			}
			var got []opt
			for _, m := range found {
				got = append(got, opt{m.Spelling, m.Value})
				if m.Option == nil {
					t.Errorf("%s: no option", m.Spelling)
				}
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tc.rest, rest); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMatchPointsIntoTheList(t *testing.T) {
	options := declared()
	found, _, err := Parse(options, []string{"--nocleanup", "-k"})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[0].Option != &options[2] || found[1].Option != &options[2] {
		t.Errorf("both spellings must be the same option: %+v", found)
	}
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		argv []string
		want string
	}{
		{[]string{"--foo"}, "option --foo not recognized"},
		{[]string{"--foo=3"}, "option --foo not recognized"},
		{[]string{"--configurationx"}, "option --configurationx not recognized"},
		{[]string{"--no"}, "option --no not a unique prefix"},
		{[]string{"--minf", "1", "--n=2"}, "option --n not a unique prefix"},
		{[]string{"--=x"}, "option -- not a unique prefix"},
		{[]string{"--conf"}, "option --configuration requires argument"},
		{[]string{"--nodaemon=1"}, "option --nodaemon must not have an argument"},
		{[]string{"-x"}, "option -x not recognized"},
		{[]string{"-nx"}, "option -x not recognized"},
		{[]string{"-né"}, "option -é not recognized"},
		{[]string{"-n\xff"}, "option -\xff not recognized"},
		{[]string{"-nc"}, "option -c requires argument"},
		{[]string{"-:"}, "option -: not recognized"},
	} {
		_, _, err := Parse(declared(), tc.argv)
		if err == nil || err.Error() != tc.want {
			t.Errorf("%q: %v, want %s", tc.argv, err, tc.want)
		}
	}
}

// FuzzParse: what remains is the end of what was given, and what was found, written out in full, is found again.
func FuzzParse(f *testing.F) {
	f.Add("-nkc", "x", "--conf=1")
	f.Add("--", "-", "-?")
	f.Add("-c\xff", "--=", "--n")
	f.Add("-nc", "", "--no_k")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		argv := []string{a, b, c}
		found, rest, err := Parse(declared(), argv)
		if err != nil {
			if found != nil || rest != nil {
				t.Error("results beside an error")
			}
			return
		}
		if len(rest) > len(argv) {
			t.Error("more words than given")
		}
		for i, w := range rest {
			if w != argv[len(argv)-len(rest)+i] {
				t.Errorf("rest %q is no tail of %q", rest, argv)
			}
		}
		var full []string
		for _, m := range found {
			if full = append(full, m.Spelling); m.Option.Arg {
				full = append(full, m.Value)
			}
		}
		again, left, err := Parse(declared(), append(append(full, "--"), rest...))
		if d := cmp.Diff(found, again, cmpopts.EquateEmpty()) + cmp.Diff(rest, left, cmpopts.EquateEmpty()); d != "" || err != nil {
			t.Errorf("%q: %s, %v", argv, d, err)
		}
	})
}
