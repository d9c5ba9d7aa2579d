package archtest

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/base/pagetest"
)

// TestLinksLeadSomewhere follows every link between pages of the project, to the heading.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence := regexp.MustCompile("(?s)\n```.*?\n```")
	n := 0
	for _, f := range tree(t) {
		if !strings.HasSuffix(f, ".md") || strings.Contains(f, "testdata/") {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, f), ""), -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %v", f, err)
				continue
			}
			if u.Scheme != "" {
				continue
			}
			n++
			to := f
			if u.Path != "" {
				to = path.Join(path.Dir(f), u.Path)
			}
			if _, err := os.Stat(filepath.Join(root(t), filepath.FromSlash(to))); err != nil {
				t.Errorf("%s: there is no %s", f, m[1])
				continue
			}
			if u.Fragment != "" && !hasAnchor(pagetest.Read(t, to), u.Fragment) {
				t.Errorf("%s: there is no heading %s", f, m[1])
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d links were found", n)
	}
}

func hasAnchor(p *pagetest.Page, anchor string) bool {
	for i := range p.Sections {
		if p.Sections[i].Anchor() == anchor {
			return true
		}
	}
	return false
}

// TestPagesAreListed demands that every page for users can be reached from the index.
func TestPagesAreListed(t *testing.T) {
	index := read(t, "docs/README.md")
	for _, f := range tree(t) {
		rel, ok := strings.CutPrefix(f, "docs/")
		if !ok || !strings.HasSuffix(f, ".md") || rel == "README.md" || strings.HasPrefix(rel, "adr/") {
			continue
		}
		if !strings.Contains(index, "("+rel+")") {
			t.Errorf("docs/README.md does not lead to %s", rel)
		}
	}
}
