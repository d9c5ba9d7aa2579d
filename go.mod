module github.com/upkeep-project/upkeep

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/peterh/liner v1.2.3
	golang.org/x/sys v0.49.0
	golang.org/x/term v0.47.0
	pgregory.net/rapid v1.3.0
)

require (
	github.com/clipperhouse/uax29/v2 v2.7.0 // indirect
	github.com/mattn/go-runewidth v0.0.31 // indirect
)
