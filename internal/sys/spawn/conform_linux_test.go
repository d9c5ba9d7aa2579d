package spawn_test

import (
	"os"
	"testing"

	"github.com/upkeep-project/upkeep/internal/sys/spawn"
	"github.com/upkeep-project/upkeep/internal/sys/spawn/spawntest"
)

func TestMain(m *testing.M) {
	if spawn.ShimMain() || spawn.MakerMain() || spawntest.Main() || spawn.HelperMain() {
		return
	}
	os.Exit(m.Run())
}

// TestConform runs the tests of all spawners on the direct one, without and with a stop before the program.
func TestConform(t *testing.T) {
	t.Run("direct", func(t *testing.T) {
		spawntest.Run(t, func(t testing.TB) spawn.Spawner { return direct(t) })
	})
	t.Run("gated", func(t *testing.T) {
		spawntest.Run(t, func(t testing.TB) spawn.Spawner { return gated{direct(t)} })
	})
}

func direct(t testing.TB) spawn.Spawner {
	t.Helper()
	d, err := spawn.NewDirect(spawn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// gated has every program identified.
type gated struct{ spawn.Spawner }

func (g gated) Spawn(r *spawn.Request) (*spawn.Result, error) {
	r.Identified = func(int, int) error { return nil }
	return g.Spawner.Spawn(r)
}
