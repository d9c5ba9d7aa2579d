package launch

import "testing"

func TestKnown(t *testing.T) {
	var k known[string]
	a, b := &instance{}, &instance{}
	if k.get("x") != nil || k.remove("x", a) || len(k.all()) != 0 {
		t.Error("it is not empty")
	}
	k.drop("x")
	if !k.claim("x", a) || k.claim("x", b) || k.get("x") != a {
		t.Error("claim")
	}
	k.set("x", b)
	if k.remove("x", a) || k.get("x") != b {
		t.Error("another one was removed")
	}
	all := k.all()
	if !k.remove("x", b) || k.get("x") != nil || all["x"] != b {
		t.Error("remove, or all is no copy")
	}
	k.set("y", a)
	if k.drop("y"); k.get("y") != nil {
		t.Error("drop")
	}
}
