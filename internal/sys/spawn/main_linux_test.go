package spawn

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if ShimMain() {
		return
	}
	if helperMain() {
		return
	}
	os.Exit(m.Run())
}
