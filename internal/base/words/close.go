package words

import (
	"cmp"
	"slices"
	"strings"
)

// maxWord bounds the words that are compared: the work grows with the product of two lengths.
const maxWord = 128

// Close lists the known words that a mistyped one may have meant, the closest first, at most limit. Case is a small
// difference. A word that is known has nothing close, and what has no letter in common with it is not close.
func Close(word string, known []string, limit int) []string {
	type candidate struct {
		word string
		d    int
	}
	if len(word) > maxWord || slices.Contains(known, word) {
		return nil
	}
	most := max(1, len(word)/3)
	var found []candidate
	for _, k := range known {
		if len(k) > maxWord || abs(len(k)-len(word)) > most {
			continue
		}
		d := Distance(word, k)
		if strings.EqualFold(word, k) {
			d = 0
		}
		if d <= most && d < len(k) && d < len(word) && !slices.Contains(found, candidate{k, d}) {
			found = append(found, candidate{k, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.d, b.d) })
	out := make([]string, 0, limit)
	for _, c := range found[:min(len(found), max(limit, 0))] {
		out = append(out, c.word)
	}
	return out
}

func abs(n int) int { return max(n, -n) }

// Distance is the number of letters to insert, delete, replace or swap with a neighbour to make b of a.
func Distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
