package journal

import (
	"fmt"
	"sync"
	"testing"
)

func BenchmarkPutFlush(b *testing.B) {
	s := open(b, Options{Dir: b.TempDir(), Name: "state", Runtime: true})
	defer s.Close()
	for i := range 100 {
		s.Put(fmt.Sprint("p/group:name", i), make([]byte, 200))
	}
	values := [2][]byte{make([]byte, 200), append(make([]byte, 199), 1)}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		s.Put("p/group:name7", values[i%2])
		if err := s.Flush(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFlushNothing(b *testing.B) {
	s := open(b, Options{Dir: b.TempDir(), Name: "state", Runtime: true})
	defer s.Close()
	for range b.N {
		_ = s.Flush()
	}
}

// BenchmarkSync50 is one command each of 50 clients, on the disk.
func BenchmarkSync50(b *testing.B) {
	s := open(b, Options{Dir: b.TempDir(), Name: "state"})
	defer s.Close()
	for i := range b.N {
		var wg sync.WaitGroup
		for k := range 50 {
			wg.Add(1)
			s.Put(fmt.Sprint("w", k), fmt.Append(nil, i))
			s.Sync(func(error) { wg.Done() })
		}
		wg.Wait()
	}
}

// BenchmarkOpen10000 opens 10,000 keys of 500 bytes.
func BenchmarkOpen10000(b *testing.B) {
	o := Options{Dir: b.TempDir(), Name: "state", Runtime: true}
	s := open(b, o)
	for i := range 10_000 {
		s.Put(fmt.Sprint("p/group:name/", i), make([]byte, 500))
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		s := open(b, o)
		if n := len(s.Recovered().Entries); n != 10_000 {
			b.Fatal(n)
		}
		_ = s.Close()
	}
}
