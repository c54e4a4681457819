package cookie

import (
	"io/fs"

	"github.com/beamrun/beamrun/internal/cookiefile"
)

// Mode, 0400, is that of the cookie files that Erlang makes, and that this package makes.
const Mode fs.FileMode = cookiefile.Mode

// DefaultPath returns the file from which a plain erl or iex of this user reads its cookie:
// ~/.erlang.cookie, or, where that is missing and this one is not, erlang/.erlang.cookie in the
// user's configuration directory (OTP 25 and later look there: $XDG_CONFIG_HOME, else ~/.config;
// ~/Library/Application Support; %AppData%). A link to nothing is missing; what cannot be looked at
// counts as present.
func DefaultPath() (string, error) { return cookiefile.DefaultPath() }

// Load reads a cookie file as Erlang does (auth.erl): a regular file (a link to one is fine) that
// group and others have no right to, holding one line of printable ASCII; line ends and spaces
// after it do not count. Unlike Erlang it reads none of more than 1 MiB, and for root none that
// another user can change, see [ErrOtherUser]. It never waits for a file. The error is an
// *[Error].
func Load(path string) (string, error) {
	c, err := cookiefile.Load(path)
	return c, ofFile(err)
}

// LoadOrCreate reads the cookie file at path, and makes it with [New] and mode 0400 where there is
// none. Of any number of processes that do so at once, all get the same cookie, and no reader ever
// sees a part of one. The directory must exist. As Erlang does, it makes the file that a link to
// nothing names. The error is an *[Error].
func LoadOrCreate(path string) (string, error) {
	c, err := cookiefile.LoadOrCreate(path, New)
	return c, ofFile(err)
}

// Rotate puts a new cookie into the file at path, in one step, and makes it where there is none.
// The old file stays when that fails. Nodes that run keep the cookie that they have, and those that
// start afterwards cannot reach them.
//
// A link stays a link: the file that it leads to is replaced, in that file's directory, which is
// held open: what was looked at is what is replaced. That file has to be this user's, also for
// root, who can change any: see [ErrOtherUser]. Where path is no regular file, nothing is done. The
// error is an *[Error].
func Rotate(path string) error { return ofFile(cookiefile.Rotate(path, New())) }
