package procfd

func helperTitle()    {}
func helperRecycler() {}
