package logfile

import "io/fs"

// infoOf has no identity to give: all files are the same, which turns the detection of replaced files off.
func infoOf(fi fs.FileInfo) Info { return Info{Size: fi.Size(), Links: 1} }
