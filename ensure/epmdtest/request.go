package epmdtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf8"
)

// maxPacket is the size of epmd's buffer for a request. The request and its length, 2 bytes, stay
// below it.
const maxPacket = 3 * maxName

// maxName bounds the bytes of a node's name, and those of its extra field.
const maxName = 4 * 255

// request codes and replies of the protocol
const (
	alive2Req   = 'x'
	port2Req    = 'z'
	namesReq    = 'n'
	dumpReq     = 'd'
	killReq     = 'k'
	stopReq     = 's'
	alive2XResp = 'v' // to nodes of distribution version 6 and later: the creation has 4 bytes
	alive2Resp  = 'y' // to older ones: 2 bytes
	port2Resp   = 'w'
)

// request is one that epmd carries out.
type request struct {
	code byte
	name string // of port2Req and stopReq
	node node   // of alive2Req
}

// node is what an ALIVE2 request tells of a node.
type node struct {
	name     string
	port     uint16
	kind     byte // 77: normal, 72: hidden
	protocol byte // 0: TCP/IP v4
	highest  uint16
	lowest   uint16
	extra    []byte
}

// valid reports whether the node may be registered. The real epmd takes every other name, even one
// with a line break; and the empty one, which has no bytes to refuse.
func (n *node) valid() bool {
	return len(n.name) <= maxName && len(n.extra) <= maxName && utf8.ValidString(n.name) &&
		utf8.RuneCountInString(n.name) <= 255
}

var errPacket = errors.New("a packet that epmd refuses")

// readPacket reads a request and returns it without its length. Bytes that follow it are an error,
// as for the real epmd, when they come with its first ones; those that come later are not read.
func readPacket(r io.Reader) ([]byte, error) {
	var buf [maxPacket - 1]byte
	got, want := 0, len(buf)
	for sized := false; !sized || got < want; {
		n, err := r.Read(buf[got:want])
		if got += n; n == 0 && err != nil {
			return nil, err
		}
		if !sized && got >= 2 {
			sized, want = true, 2+int(binary.BigEndian.Uint16(buf[:]))
			if want < 3 || want > len(buf) || got > want {
				return nil, errPacket
			}
		}
	}
	return buf[2:got], nil
}

// parse takes a request apart. It returns false for one that epmd closes the connection for without
// a reply.
func parse(b []byte) (request, bool) {
	if len(b) == 0 {
		return request{}, false
	}
	req := request{code: b[0]}
	switch req.code {
	case alive2Req:
		if len(b) < 14 { // that much takes a name of one character
			return request{}, false
		}
		name, rest, ok := cutString(b[9:])
		extra, _, ok2 := cutString(rest) // more may follow: it is ignored
		req.node = node{
			name:     string(name),
			port:     binary.BigEndian.Uint16(b[1:]),
			kind:     b[3],
			protocol: b[4],
			highest:  binary.BigEndian.Uint16(b[5:]),
			lowest:   binary.BigEndian.Uint16(b[7:]),
			extra:    bytes.Clone(extra),
		}
		return req, ok && ok2 && bytes.IndexByte(name, 0) < 0
	case port2Req:
		req.name = string(bytes.TrimSuffix(b[1:], []byte{0}))
		// The real epmd counts the NUL that it ends the name with, so it finds no node with a name
		// of 255 characters.
		chars := utf8.RuneCountInString(req.name) + 1
		return req, req.name != "" && bytes.IndexByte([]byte(req.name), 0) < 0 &&
			utf8.ValidString(req.name) && chars <= 255
	case stopReq:
		name, _, _ := bytes.Cut(b[1:], []byte{0})
		req.name = string(name)
		return req, len(b) > 1
	case namesReq, dumpReq, killReq:
		return req, true
	}
	return request{}, false
}

// cutString takes a byte string off b: a length of 2 bytes, then that many.
func cutString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	size := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < size {
		return nil, nil, false
	}
	return b[2:size], b[size:], true
}
