package keeper

func stressMain() int { return 0 }
