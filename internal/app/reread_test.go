package app

import (
	"reflect"
	"testing"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// elsewhere are the settings of which a reread says nothing, with the reason.
func elsewhere() map[string]string {
	return map[string]string{
		"ConfigFile":  "is the same by definition",
		"Here":        "follows from it",
		"User":        "UID is compared: another spelling of the same user is no change",
		"GID":         "follows from the user",
		"Environment": "is part of the programs, which are compared",
		"Profile":     "comes from the command line alone",
	}
}

// TestEverySettingIsComparedOrNot: no setting can be added and forgotten (F31).
func TestEverySettingIsComparedOrNot(t *testing.T) {
	type settings = supervisord.Settings
	if keys := fixedChanges(&settings{}, &settings{}); len(keys) > 0 {
		t.Errorf("nothing has changed, but %v", keys)
	}
	silent := elsewhere()
	for i := range reflect.TypeFor[settings]().NumField() {
		field := reflect.TypeFor[settings]().Field(i)
		next := &settings{}
		v := reflect.ValueOf(next).Elem().Field(i)
		switch v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int, reflect.Int8, reflect.Int64:
			v.SetInt(1)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
		default:
			t.Fatalf("%s: what is a %v?", field.Name, v.Kind())
		}
		keys := fixedChanges(&settings{}, next)
		if _, ok := silent[field.Name]; ok != (len(keys) == 0) || len(keys) > 1 {
			t.Errorf("a change of %s is told as %v", field.Name, keys)
		}
		delete(silent, field.Name)
	}
	if len(silent) > 0 {
		t.Errorf("no such settings: %v", silent)
	}
}
