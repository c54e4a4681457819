package launcher

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// distPortVar is the variable of start scripts for the one port of all nodes.
const distPortVar = "ERL_DIST_PORT"

// maxScript is how many bytes of a script are looked at. Those of releases have some 40 KiB.
const maxScript = 1 << 20

// script returns the text of the program, or of its first part. It is "" if the program is no file
// that can be read.
func (c Config) script() string {
	path, err := exec.LookPath(c.Program)
	if err != nil {
		return ""
	}
	// a pipe must not keep us waiting
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(f, maxScript))
	return string(text)
}

// reads reports whether the text of a script uses that variable: $KEY, ${KEY…}, or on Windows
// %KEY% or !KEY!.
func reads(text, key string) bool {
	for _, begin := range []string{"$", "${", "%", "!"} {
		for rest, found := text, true; found; {
			_, rest, found = strings.Cut(rest, begin+key)
			if found && (rest == "" || !isNameByte(rest[0])) {
				return true
			}
		}
	}
	return false
}

func isNameByte(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
