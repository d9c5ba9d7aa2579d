package model

// Field is one value whose change Diff or DiffGroup can find.
type Field struct {
	Key    string // the configuration key, or one of the Field… names
	Group  bool   // a value of the group, not of a program
	Effect Effect // the greatest effect that a change of it can have
}

// Fields lists every value that is compared, those of programs first, in the order in which changes are
// told. FieldMember is in it once for each of its effects: a program that comes leaves the others alone,
// one that goes is stopped.
func Fields() []Field {
	out := make([]Field, 0, len(programFields)+len(groupFields))
	for i := range programFields {
		out = append(out, Field{Key: programFields[i].key, Effect: programFields[i].effect})
	}
	return append(out, groupFields[:]...)
}

// groupFields are the values that DiffGroup compares. It is a constant.
var groupFields = [...]Field{
	{"priority", true, EffectLive},
	{FieldType, true, EffectRestart},
	{"events", true, EffectRestart}, // live, unless the pool itself comes or goes
	{"buffer_size", true, EffectLive},
	{"result_handler", true, EffectLive},
	{"event_timeout", true, EffectLive},
	{"event_len", true, EffectLive},
	{FieldOrigin, true, EffectNone},
	{FieldMember, true, EffectLive},
	{FieldMember, true, EffectRestart},
	{FieldOrder, true, EffectNone},
}
