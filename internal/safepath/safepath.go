// Package safepath opens files, and judges paths, that another user of the host may try to change
// under us.
//
// A path is safe for a user when nobody else can change what it leads to: every directory on the
// way belongs to that user or to root, and is not writable by group or others unless it is sticky,
// as /tmp is, where only an entry's owner can remove it. The same holds for every link that is
// followed, and for what stands at the end. In a sticky directory only a directory is safe: anyone
// may have moved, or linked, a file of root's there. For root, safe means: nobody but root can
// change it.
//
// Once a path is safe it stays so: root and that user are the only ones who can change that.
package safepath

import "fmt"

// Error is a path that another user can change. It is never safe to act on as root.
type Error struct {
	Path  string // what was asked for
	At    string // the directory, link or file that another user can change, without links
	Owner int    // its owner; the owner may be right, and the mode not
	Why   string // "belongs to uid 1000", "is writable by others (mode 0777)"

	Shared bool // it would be safe in another directory: see the package comment
	Served bool // it is in a file system that Owner serves (FUSE), which may never answer
}

func (e *Error) Error() string {
	if e.At == e.Path {
		return fmt.Sprintf("%s %s", e.At, e.Why)
	}
	return fmt.Sprintf("%s: %s %s", e.Path, e.At, e.Why)
}

func notPrivate(dir string) error {
	return fmt.Errorf("%s is not a directory of this user alone (mode 0700)", dir)
}
