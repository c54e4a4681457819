package dist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// This file is as much of the External Term Format (ERTS User's Guide) as one call and its reply
// take.

// Tags of the format.
const (
	TagVersion    = 131 // what stands before each term of a message
	tagSmallInt   = 97
	tagInt        = 98
	tagAtom       = 100 // Latin-1
	tagSmallTuple = 104
	tagLargeTuple = 105
	tagNil        = 106
	tagString     = 107
	tagList       = 108
	tagBinary     = 109
	tagSmallBig   = 110
	tagNewPid     = 88
	tagSmallAtom  = 115 // Latin-1
	tagAtomUTF8   = 118
	tagSmallUTF8  = 119
)

// Atom is an Erlang atom. The other terms are: int for integers, string for strings, []any for
// tuples and lists.
type Atom string

// PID is one of ours, on the wire.
type PID struct {
	Node     Atom
	Creation uint32
}

// AppendTerm appends the external form of a term, which has to be one of an atom, an int32, a
// string of less than 64 KiB, a pid, a tuple ([]any of less than 256) or a list.
func AppendTerm(b []byte, term any) []byte {
	switch t := term.(type) {
	case Atom:
		return append(append(b, tagSmallUTF8, byte(len(t))), t...)
	case int:
		return binary.BigEndian.AppendUint32(append(b, tagInt), uint32(t))
	case string:
		return append(binary.BigEndian.AppendUint16(append(b, tagString), uint16(len(t))), t...)
	case PID:
		b = AppendTerm(append(b, tagNewPid), t.Node)
		b = binary.BigEndian.AppendUint64(b, 1<<32) // id 1, serial 0
		return binary.BigEndian.AppendUint32(b, t.Creation)
	case []any:
		b = append(b, tagSmallTuple, byte(len(t)))
		for _, e := range t {
			b = AppendTerm(b, e)
		}
		return b
	case List:
		b = binary.BigEndian.AppendUint32(append(b, tagList), uint32(len(t)))
		for _, e := range t {
			b = AppendTerm(b, e)
		}
		return append(b, tagNil)
	}
	panic(fmt.Sprintf("dist: no external form of %T", term))
}

// List is an Erlang list.
type List []any

// ErrTerm is the error of a term that is none of those above.
var ErrTerm = errors.New("a term that is not understood")

// ReadTerm reads one term and returns what follows it.
func ReadTerm(b []byte) (term any, rest []byte, err error) { return readNested(b, 0) }

func readNested(b []byte, depth int) (term any, rest []byte, err error) {
	if depth > 16 {
		return nil, nil, ErrTerm
	}
	// take returns the next n bytes.
	take := func(n int) (part []byte) {
		if err != nil || n < 0 || n > len(b) { // less than 0: where an int has 32 bits
			err = io.ErrUnexpectedEOF
			// for the number that is wanted; a text is not looked at after an error
			return make([]byte, 4)
		}
		part, b = b[:n], b[n:]
		return part
	}
	elements := func(n int) (all []any) {
		if n < 0 || n > len(b) { // each takes a byte or more
			err = io.ErrUnexpectedEOF
		}
		for range n {
			var e any
			if err == nil {
				e, b, err = readNested(b, depth+1)
			}
			if err != nil {
				return nil
			}
			all = append(all, e)
		}
		return all
	}
	switch tag := take(1)[0]; tag {
	case tagSmallInt:
		term = int(take(1)[0])
	case tagInt:
		term = int(int32(binary.BigEndian.Uint32(take(4))))
	case tagSmallBig: // a creation, of 32 bits
		n, sign := take(1)[0], take(1)[0]
		if n > 7 {
			return nil, nil, ErrTerm
		}
		value := 0
		for i, digit := range take(int(n)) {
			value |= int(digit) << (8 * i)
		}
		if sign != 0 {
			value = -value
		}
		term = value
	case tagAtom, tagAtomUTF8:
		term = Atom(take(int(binary.BigEndian.Uint16(take(2)))))
	case tagSmallAtom, tagSmallUTF8:
		term = Atom(take(int(take(1)[0])))
	case tagString:
		term = string(take(int(binary.BigEndian.Uint16(take(2)))))
	case tagBinary:
		term = string(take(int(binary.BigEndian.Uint32(take(4)))))
	case tagSmallTuple:
		term = elements(int(take(1)[0]))
	case tagLargeTuple:
		term = elements(int(binary.BigEndian.Uint32(take(4))))
	case tagNil:
		term = List{}
	case tagList:
		all := elements(int(binary.BigEndian.Uint32(take(4))))
		if tail := elements(1); err == nil {
			if l, ok := tail[0].(List); !ok || len(l) > 0 {
				return nil, nil, ErrTerm
			}
		}
		term = List(all)
	case tagNewPid:
		elements(1)
		take(12)
		term = Atom("pid")
	default:
		return nil, nil, fmt.Errorf("%w (tag %d)", ErrTerm, tag)
	}
	if err != nil {
		return nil, nil, err
	}
	return term, b, nil
}

// Show returns a term as Erlang writes it, near enough. An atom may hold anything: what is not
// printable is escaped.
func Show(term any) string {
	join := func(all []any) string {
		parts := make([]string, len(all))
		for i, e := range all {
			parts[i] = Show(e)
		}
		return strings.Join(parts, ",")
	}
	switch t := term.(type) {
	case Atom:
		return Plain(string(t))
	case string:
		return strconv.Quote(t)
	case []any:
		return "{" + join(t) + "}"
	case List:
		return "[" + join(t) + "]"
	}
	return fmt.Sprint(term)
}

// Plain returns a text from outside as a part of a message: on one line, and no longer than a name.
func Plain(s string) string {
	if len(s) > vmargs.MaxName {
		s = s[:vmargs.MaxName] + "…"
	}
	return shell.Line(s)
}
