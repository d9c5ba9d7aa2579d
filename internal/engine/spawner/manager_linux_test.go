package spawner

func helperManager([]string) {}
