package rpc2

import (
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// args are the parameters of a call, their number already checked.
type args []any

// name is a parameter that must be text. The original fails with HTTP 500 on other types; here they are
// incorrect parameters.
func (a args) name(i int) (string, error) {
	s, ok := a[i].(string)
	if !ok {
		return "", bare(supervisor.FaultIncorrectParameters)
	}
	return s, nil
}

// number is a parameter that must be an integer or convertible to one as Python's int() does it.
func (a args) number(i int) (int64, error) {
	switch v := a[i].(type) {
	case int:
		return int64(v), nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case float64:
		if v > -1<<62 && v < 1<<62 {
			return int64(v), nil
		}
	case string:
		if n, err := strconv.ParseInt(pytext.Strip(v), 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, bare(supervisor.FaultIncorrectParameters)
}

// truth is an optional parameter taken as true or false as Python does it; missing means true.
func (a args) truth(i int) bool {
	if i >= len(a) {
		return true
	}
	switch v := a[i].(type) {
	case nil:
		return false
	case bool:
		return v
	case int:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case []byte:
		return len(v) > 0
	case []any:
		return len(v) > 0
	case xmlrpc.Struct:
		return len(v) > 0
	}
	return true
}

// signal is a signal by name or number.
func (a args) signal(i int) (string, error) {
	if s, ok := a[i].(string); ok {
		return s, nil
	}
	n, err := a.number(i)
	return strconv.FormatInt(n, 10), err
}

// pyStr is the text that Python's str() makes of a value; fault texts and events show it.
func pyStr(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return pyRepr(v)
}

func pyRepr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int:
		return strconv.Itoa(v)
	case float64:
		b := xmlrpc.AppendValue(nil, v) // has the same form of numbers
		return strings.TrimSuffix(strings.TrimPrefix(string(b), "<value><double>"), "</double></value>\n")
	case string:
		return pytext.Repr(v)
	case []byte:
		return pytext.Repr(string(v))
	case time.Time:
		return v.Format("20060102T15:04:05")
	case []any:
		items := make([]string, len(v))
		for i := range v {
			items[i] = pyRepr(v[i])
		}
		return "[" + strings.Join(items, ", ") + "]"
	case xmlrpc.Struct:
		items := make([]string, len(v))
		for i := range v {
			items[i] = pytext.Repr(v[i].Name) + ": " + pyRepr(v[i].Value)
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return ""
}
