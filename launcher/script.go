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

const maxScript = 1 << 20 // bytes that are looked at; the start scripts of releases have some 40 KiB

// script returns the text of the program, or of its first part. It is "" if the program is no file
// that can be read.
func (c Config) script() string {
	path, err := exec.LookPath(c.Program)
	if err != nil {
		return ""
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not keep us waiting
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

// reads reports whether the text of a script uses that variable: $KEY, ${KEY…}, or on Windows %KEY%
// or !KEY!.
func reads(text, key string) bool {
	for _, begin := range []string{"$", "${", "%", "!"} {
		for rest, found := text, true; found; {
			if _, rest, found = strings.Cut(rest, begin+key); found && (rest == "" || !isNameByte(rest[0])) {
				return true
			}
		}
	}
	return false
}

func isNameByte(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
