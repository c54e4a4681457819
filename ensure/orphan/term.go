package orphan

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
	tagVersion    = 131
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

// atom is an Erlang atom. The other terms are: int for integers, string for strings, []any for
// tuples and lists.
type atom string

// pid is ours, on the wire.
type pid struct {
	node     atom
	creation uint32
}

// appendTerm appends the external form of a term, which has to be one of an atom, an int32, a
// string of less than 64 KiB, a pid, a tuple ([]any of less than 256) or a list.
func appendTerm(b []byte, term any) []byte {
	switch t := term.(type) {
	case atom:
		return append(append(b, tagSmallUTF8, byte(len(t))), t...)
	case int:
		return binary.BigEndian.AppendUint32(append(b, tagInt), uint32(t))
	case string:
		return append(binary.BigEndian.AppendUint16(append(b, tagString), uint16(len(t))), t...)
	case pid:
		b = appendTerm(append(b, tagNewPid), t.node)
		b = binary.BigEndian.AppendUint64(b, 1<<32) // id 1, serial 0
		return binary.BigEndian.AppendUint32(b, t.creation)
	case []any:
		b = append(b, tagSmallTuple, byte(len(t)))
		for _, e := range t {
			b = appendTerm(b, e)
		}
		return b
	case list:
		b = binary.BigEndian.AppendUint32(append(b, tagList), uint32(len(t)))
		for _, e := range t {
			b = appendTerm(b, e)
		}
		return append(b, tagNil)
	}
	panic(fmt.Sprintf("orphan: no external form of %T", term))
}

// list is an Erlang list.
type list []any

var errTerm = errors.New("a term that is not understood")

// readTerm reads one term and returns what follows it.
func readTerm(b []byte) (term any, rest []byte, err error) { return readNested(b, 0) }

func readNested(b []byte, depth int) (term any, rest []byte, err error) {
	if depth > 16 {
		return nil, nil, errTerm
	}
	// take returns the next n bytes.
	take := func(n int) (part []byte) {
		if err != nil || n < 0 || n > len(b) { // less than 0: where an int has 32 bits
			err = io.ErrUnexpectedEOF
			return make([]byte, 4) // for the number that is wanted; a text is not looked at after an error
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
			return nil, nil, errTerm
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
		term = atom(take(int(binary.BigEndian.Uint16(take(2)))))
	case tagSmallAtom, tagSmallUTF8:
		term = atom(take(int(take(1)[0])))
	case tagString:
		term = string(take(int(binary.BigEndian.Uint16(take(2)))))
	case tagBinary:
		term = string(take(int(binary.BigEndian.Uint32(take(4)))))
	case tagSmallTuple:
		term = elements(int(take(1)[0]))
	case tagLargeTuple:
		term = elements(int(binary.BigEndian.Uint32(take(4))))
	case tagNil:
		term = list{}
	case tagList:
		all := elements(int(binary.BigEndian.Uint32(take(4))))
		if tail := elements(1); err == nil {
			if l, ok := tail[0].(list); !ok || len(l) > 0 {
				return nil, nil, errTerm
			}
		}
		term = list(all)
	case tagNewPid:
		elements(1)
		take(12)
		term = atom("pid")
	default:
		return nil, nil, fmt.Errorf("%w (tag %d)", errTerm, tag)
	}
	if err != nil {
		return nil, nil, err
	}
	return term, b, nil
}

// show is a term as Erlang writes it, near enough. An atom may hold anything: what is not printable
// is escaped.
func show(term any) string {
	join := func(all []any) string {
		parts := make([]string, len(all))
		for i, e := range all {
			parts[i] = show(e)
		}
		return strings.Join(parts, ",")
	}
	switch t := term.(type) {
	case atom:
		return plain(string(t))
	case string:
		return strconv.Quote(t)
	case []any:
		return "{" + join(t) + "}"
	case list:
		return "[" + join(t) + "]"
	}
	return fmt.Sprint(term)
}

// plain is a text from outside as a part of a message: on one line, and no longer than a name.
func plain(s string) string {
	if len(s) > vmargs.MaxName {
		s = s[:vmargs.MaxName] + "…"
	}
	return shell.Line(s)
}
