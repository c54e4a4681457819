package safepath

import "os"

// Check returns an error if path leads nowhere. The directories in question are in the user's
// profile, which other users cannot change.
func Check(path string, _ int) error {
	_, err := os.Stat(path)
	return err
}

// Owner returns -1: there are no uids.
func (f *Found) Owner() int { return -1 }

// MakePrivate makes the directory dir, or makes sure that what stands there is one, and no link.
func MakePrivate(dir string, _ int) error {
	if err := mkdir(dir); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err == nil && !info.IsDir() {
		err = notPrivate(dir)
	}
	return err
}
