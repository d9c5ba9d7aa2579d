package termtext

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppend(t *testing.T) {
	for _, c := range []struct{ name, in, plain, colours string }{
		{"text", "plain text\tand tab\n", "plain text\tand tab\n", ""},
		{"utf-8", "Grüße, 世界 👩‍💻", "Grüße, 世界 👩‍💻", ""},
		{"line ends", "a\r\nb\r\n", "a\nb\n", ""},
		{"progress", "10%\r20%\r", "10% 20%", ""},
		{"backspace", "secret\b\b\b\b\b\bpublic", "secretpublic", ""},
		{"bell, nul, delete, vertical tab", "a\a\x00b\x7fc\vd\fe", "abcde", ""},
		{"colour", "\x1b[31mred\x1b[0m", "red", "\x1b[31mred\x1b[0m"},
		{"colour left on", "\x1b[1;31mred\nplain", "red\nplain", "\x1b[1;31mred\x1b[0m\nplain"},
		{"short reset", "\x1b[31mred\x1b[m", "red", "\x1b[31mred\x1b[m"},
		{"black in 256 colours is no reset", "\x1b[38;5;0mx", "x", "\x1b[38;5;0mx\x1b[0m"},
		{"true colour with zeros", "\x1b[48;2;0;0;0mx", "x", "\x1b[48;2;0;0;0mx\x1b[0m"},
		{"colour 8 is visible", "\x1b[38;5;8mx\x1b[0m", "x", "\x1b[38;5;8mx\x1b[0m"},
		{"zeros before a number", "\x1b[38;05;0mx\x1b[048;005;008my", "xy", "\x1b[38;05;0mx\x1b[048;005;008my\x1b[0m"},
		{"colons", "\x1b[4:3mx\x1b[0m", "x", "\x1b[4:3mx\x1b[0m"},
		{"concealed", "\x1b[8mhidden\x1b[0m", "hidden", "hidden\x1b[0m"},
		{"concealed among others", "\x1b[31;08mhidden", "hidden", ""},
		{"modify keys is no colour", "\x1b[>4;2mx", "x", ""},
		{"cursor", "a\x1b[2Jb\x1b[10;10Hc\x1b[1Ad\x1b[Ke\x1b7f\x1b8g\x1bMh", "abcdefgh", ""},
		{"soft reset and the like", "a\x1b[!pb\x1b[0 qc\x1bcd\x1b#8e", "abcde", ""},
		{"device queries", "a\x1b[6nb\x1b[cc\x1b[>cd\x1b[?6ne\x1bZf\x05g", "abcdefg", ""},
		{"modes", "a\x1b[?1049hb\x1b[?2004lc", "abc", ""},
		{"title", "a\x1b]0;owned\ab\x1b]2;owned\x1b\\c", "abc", ""},
		{"clipboard", "a\x1b]52;c;ZXZpbA==\ab", "ab", ""},
		{"link", "see \x1b]8;;http://evil\x1b\\the text\x1b]8;;\x1b\\.", "see the text.", ""},
		{"device control", "a\x1bP$q q\x1b\\b\x1b_apc\x1b\\c\x1b^pm\x1b\\d\x1bXsos\x1b\\e", "abcde", ""},
		{"a string ends with its line", "a\x1b]0;no end\nb", "a\nb", ""},
		{"a string ends with another sequence", "a\x1b]0;x\x1b[31mb", "ab", "a\x1b[31mb\x1b[0m"},
		{"a string is cancelled", "a\x1b]0;x\x18b\x1b]0;y\x1ac", "abc", ""},
		{"character set", "a\x1b(0b\x1b)Bc\x1b%Gd\x1b$(Ce", "abcde", ""},
		{"C1 in UTF-8", "a\u009b2Jb\u009d0;title\u009cc\u0090q\u009cd\u0085e\u0084f", "abcdef", ""},
		{"C1 colour", "\u009b31mx", "x", "\x1b[31mx\x1b[0m"},
		{"C1 as bytes", "a\x9b2Jb\x85", `a\x9b2Jb\x85`, ""},
		{"no UTF-8", "a\xffb\xc3(\xe2\x82", `a\xffb\xc3(\xe2\x82`, ""},
		{"overlong and surrogates", "\xc0\x80\xed\xa0\x80", `\xc0\x80\xed\xa0\x80`, ""},
		{"escaped twice", "\x1b\x1b[2Jx\x1b\x1b\x1b]0;t\ay", "xy", ""},
		{"cut sequences", "a\x1b", "a", ""},
		{"cut control sequence", "a\x1b[12;", "a", ""},
		{"a line end in a sequence", "a\x1b[3\n1mb", "a\n1mb", ""},
		{"direction", "user\u202etxt.exe", `user\u{202e}txt.exe`, ""},
		{"separators and tags", "a\u2028b\ufeffc\U000e0041", `a\u{2028}b\u{feff}c\u{e0041}`, ""},
		{"many parameters", "\x1b[" + strings.Repeat("1;", 40) + "mx", "x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := String(c.in, Plain); got != c.plain {
				t.Errorf("plain %q, want %q", got, c.plain)
			}
			want := c.colours
			if want == "" {
				want = c.plain
			}
			if got := String(c.in, Colours); got != want {
				t.Errorf("colours %q, want %q", got, want)
			}
		})
	}
}

func TestAppendKeepsWhatWasThere(t *testing.T) {
	if got := string(Append([]byte("a\x1b[2J"), []byte("b\x1b[2J"), Plain)); got != "a\x1b[2Jb" {
		t.Errorf("%q", got)
	}
}

// colourOn reports whether a colour is in force behind a sequence, by the numbers in it.
func colourOn(sequence string) (on bool) {
	list := strings.Split(sequence[2:len(sequence)-1], ";")
	number := func(i int) int {
		if i >= len(list) || list[i] == "" {
			return 0
		}
		n, err := strconv.Atoi(list[i])
		if err != nil {
			return -1
		}
		return n
	}
	for i := 0; i < len(list); i++ {
		n := number(i)
		if on = n != 0; n == 38 || n == 48 || n == 58 {
			i += map[int]int{2: 4, 5: 2}[number(i+1)]
		}
	}
	return on
}

// FuzzAppend: nothing but text, tabs, line ends and colours comes out, a second time changes nothing, text that was harmless is
// as it was, and colours end with their line.
func FuzzAppend(f *testing.F) {
	for _, s := range []string{
		"text\t\n", "\x1b[31mx", "\x1b]0;t\a", "\u009b2J", "\x9b", "\x1bP\x1b\\", "\x1b[8m", "\r\n\b", "\u202e", "\x1b[38;5;0;8m", "\x1b[38;05;0m\n",
	} {
		f.Add([]byte(s))
	}
	colour := regexp.MustCompile("\x1b\\[[0-9;:]*m")
	harmless := regexp.MustCompile(`^[ -~\t\n]*$`)
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, keep := range []Keep{Plain, Colours} {
			out := String(string(in), keep)
			if again := String(out, keep); again != out {
				t.Fatalf("%q becomes %q, then %q", in, out, again)
			}
			if harmless.Match(in) && out != string(in) {
				t.Fatalf("%q becomes %q", in, out)
			}
			if !utf8.ValidString(out) {
				t.Fatalf("no UTF-8: %q", out)
			}
			for line := range strings.SplitSeq(out, "\n") {
				if all := colour.FindAllString(line, -1); all != nil && colourOn(all[len(all)-1]) {
					t.Fatalf("a colour goes on behind %q", line)
				}
			}
			if keep == Colours {
				out = colour.ReplaceAllString(out, "")
			}
			for _, r := range out {
				if r < ' ' && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 || invisible(r) {
					t.Fatalf("%q lets %U through: %q", in, r, out)
				}
			}
			if strings.Count(out, "\n") != strings.Count(string(in), "\n") {
				t.Fatalf("%q has other lines: %q", in, out)
			}
		}
	})
}
