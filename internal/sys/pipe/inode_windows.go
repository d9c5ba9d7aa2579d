package pipe

// Inode tells nothing here.
func Inode(int) uint64 { return 0 }
