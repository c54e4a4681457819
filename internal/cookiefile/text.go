package cookiefile

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// MaxLen is the most characters that a cookie may have.
const MaxLen = 255

// textError is what is wrong with the text of a cookie. It never holds a part of it.
type textError struct{ words string }

func (e *textError) Error() string { return e.words }

var (
	errEmpty = &textError{"it is empty"}
	errMore  = &textError{"it has more than one line"}
	errLarge = &textError{"it is larger than 1 MiB, and beamrun reads no more"}
)

func errLong(n int) error {
	return &textError{fmt.Sprintf("it has %d characters, and Erlang takes %d at most", n, MaxLen)}
}

func errNotPrintable(index int) error {
	return &textError{fmt.Sprintf("character %d is not printable ASCII", index+1)}
}

// Check returns what is wrong with a cookie, as Erlang sees it.
func Check(c string) error {
	if c == "" {
		return errEmpty
	}
	if len(c) > MaxLen {
		return errLong(len(c))
	}
	if i := strings.IndexFunc(c, notPrintable); i >= 0 {
		return errNotPrintable(i)
	}
	return nil
}

func notPrintable(r rune) bool { return r < ' ' || r > '~' }

// parse reads a cookie as auth.erl's check_cookie does: characters up to the first line end, and
// from there on only line ends and spaces. It keeps MaxLen characters, however many there are.
func parse(r io.Reader) (string, error) {
	var (
		text  = bufio.NewReader(r)
		c     []byte
		n     int // of the cookie's characters
		ended bool
	)
	for {
		b, err := text.ReadByte()
		switch {
		case err == io.EOF:
			if n > MaxLen {
				return "", errLong(n)
			}
			return string(c), Check(string(c))
		case err != nil:
			return "", err
		case b == '\n' || b == '\r':
			ended = true
		case ended && b == ' ':
		case ended:
			return "", errMore
		case notPrintable(rune(b)):
			return "", errNotPrintable(n)
		default:
			if n++; n <= MaxLen {
				c = append(c, b)
			}
		}
	}
}
