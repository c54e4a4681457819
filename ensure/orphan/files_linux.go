package orphan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/beamrun/beamrun/internal/cookiefile"
	"github.com/beamrun/beamrun/internal/safepath"
)

// find finds a path of the node's own: in a container its root directory is another one, so a link
// there leads to a file of the container. Root follows it only where nobody but root can change it.
func (n Node) find(path string) (*safepath.Found, error) {
	if n.from != nil { // this process is there
		return safepath.Find(nil, path, 0, false)
	}
	root, err := n.vm.Root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if n.birth != n.vm.Birth() { // the pid is another process's by now
		return nil, errors.New("it has ended")
	}
	return safepath.Find(root, path, 0, os.Geteuid() == 0)
}

// load reads the cookie file at a path of the node's own. It has to belong to the node's user.
func (n Node) load(path string) (string, error) {
	fail := func(err error) (string, error) {
		if e := new(fs.PathError); errors.As(err, &e) {
			err = e.Err
		}
		return "", &cookiefile.Error{Path: path, Err: err}
	}
	found, err := n.find(path)
	if err != nil {
		return fail(err)
	}
	defer found.Close()
	if found.Err == nil && found.Info.Mode&unix.S_IFMT != unix.S_IFREG {
		return fail(errors.New("it is not a regular file"))
	}
	f, err := found.Open(unix.O_RDONLY | unix.O_NONBLOCK)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	if owner := int(found.Info.Uid); owner != n.UID {
		return fail(fmt.Errorf("it belongs to uid %d, and the node to uid %d", owner, n.UID))
	}
	return cookiefile.Read(f, path)
}

// hasFile reports whether a file in the directory registers the node, by all that can be seen.
func (n Node) hasFile(directory string) (bool, error) {
	if !n.isOurs() {
		return false, errors.New("the directory is another user's")
	}
	found, err := n.find(directory)
	if err != nil {
		return false, err
	}
	defer found.Close()
	if found.Err != nil {
		return false, nil
	}
	dir, err := found.Open(unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NONBLOCK)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	const most = 4096 // entries, as in package epmdless
	for looked := 0; ; {
		names, err := dir.Readdirnames(512)
		for _, name := range names {
			if strings.HasPrefix(name, n.Short()+".") {
				return true, nil
			}
		}
		switch looked += len(names); {
		case err == io.EOF:
			return false, nil
		case err != nil:
			return false, err
		case looked >= most:
			return false, fmt.Errorf("it has more than %d entries", most)
		}
	}
}
