// Package epmd is a client of epmd, the Erlang Port Mapper Daemon: it asks which nodes are
// registered and at which port one of them listens. It never starts a daemon; package ensure does.
//
// The protocol is OTP's own, chapter "EPMD Protocol" of the ERTS User's Guide
// (https://www.erlang.org/doc/apps/erts/erl_dist_protocol.html). Every request is one TCP
// connection: a length of 2 bytes, big endian, then that many bytes of request; epmd replies and
// closes.
//
// Every call ends: with the reply, when its context ends, or after [Timeout] if the context has no
// deadline. On Linux the end of the context is seen within 20 ms.
//
// Errors wrap one of [ErrNotEpmd], [ErrNotRegistered] and [ErrNodesRegistered];
// [io.ErrUnexpectedEOF], if the reply ended too soon; the context's error; or why the connection
// failed, an [net.OpError] where it could not be made.
package epmd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// DefaultPort is the TCP port that IANA assigned to epmd.
	DefaultPort = 4369

	// Timeout bounds a call whose context has no deadline.
	Timeout = 5 * time.Second

	// maxReply bounds the memory that a reply may take. epmd holds about 1,020 connections at most,
	// each a name of up to 255 characters, so an honest reply stays far below it.
	maxReply = 4 << 20

	// maxNames is how many names a reply may have: more nodes than ports there cannot be.
	maxNames = 65535

	// maxName is how many characters a name may have, and maxBytes how many bytes a name, in UTF-8,
	// or the extra field (MAXSYMLEN of OTP's epmd).
	maxName  = 255
	maxBytes = 4 * maxName
)

var (
	// ErrNotEpmd is the error of a reply that is not in epmd's protocol. So is one with a name of
	// more than 255 characters, with more than 65,535 names, or of more than 4 MiB. For [Names] so
	// is the list of an epmd that has another port for itself, as behind a port forward.
	ErrNotEpmd = errors.New("not an epmd reply")

	// ErrNotRegistered is the error of [Lookup] for a name that epmd does not have.
	ErrNotRegistered = errors.New("no such node is registered")

	// ErrNodesRegistered is the error of [Kill] for an epmd that has nodes.
	ErrNodesRegistered = errors.New("it does not end while nodes are registered")
)

// Node is a registered node: the part of its name before the @, and the port where it accepts
// distribution connections.
type Node struct {
	Name string `json:"name"`
	Port uint16 `json:"port"`
}

// Info is what epmd knows of one node (PORT2_RESP).
type Info struct {
	Node
	Hidden   bool   // registered as a hidden node (node type 72), so it is no part of the full mesh
	Protocol uint8  // 0: TCP/IP v4
	Highest  uint16 // highest distribution version that the node speaks
	Lowest   uint16 // lowest distribution version that the node speaks
	Extra    []byte // free bytes that the node registered, at most 1,020
}

// request codes and replies of the protocol
const (
	killReq   = 'k'
	namesReq  = 'n'
	port2Req  = 'z'
	port2Resp = 'w'

	nodeTypeHidden = 72
)

// Names returns the nodes that are registered with the epmd at addr, in epmd's own order.
func Names(ctx context.Context, addr netip.AddrPort) (nodes []Node, err error) {
	err = ask(ctx, addr, []byte{namesReq}, func(r io.Reader) (err error) {
		port, err := readHeader(r)
		if err == nil && port != addr.Port() {
			err = fmt.Errorf("%w: it says that its port is %d", ErrNotEpmd, port)
		}
		if err != nil {
			return err
		}
		inBulk(r)
		nodes, err = readLines(r)
		return err
	})
	return nodes, wrap(addr, err)
}

// Lookup asks the epmd at addr for one node, by the part of its name before the @. It returns
// [ErrNotRegistered] if epmd does not have the name.
func Lookup(ctx context.Context, addr netip.AddrPort, name string) (info Info, err error) {
	// the request's length, and epmd's own buffer, end far above any name that a node can have
	if name == "" || len(name) > maxBytes {
		return Info{}, fmt.Errorf("epmd: a node's name has 1 to 255 characters: %.40q", name)
	}
	err = ask(ctx, addr, append([]byte{port2Req}, name...), func(r io.Reader) (err error) {
		info, err = readPort2(r)
		return err
	})
	return info, wrap(addr, err)
}

// Ping asks the epmd at addr for its names, and returns the port that the epmd has for itself: the
// first 4 bytes of the reply. It drops the names, but reads them to their end: an epmd whose reply
// is cut off writes a line into its log.
//
// It is the probe that runs before every program start, so on Linux it takes the least that a wait
// may, and no timer.
func Ping(ctx context.Context, addr netip.AddrPort) (port uint16, err error) {
	err = ask(ctx, addr, []byte{namesReq}, func(r io.Reader) (err error) {
		port, err = pingReply(r)
		return err
	})
	if err != nil {
		return 0, wrap(addr, err)
	}
	return port, nil
}

// Kill asks the epmd at addr to end. It ends as soon as it has replied, and a moment may pass until
// nobody listens on its port. It returns [ErrNodesRegistered] if nodes are registered; an epmd that
// was started with -relaxed_command_check ends all the same.
//
// An epmd of another host closes the connection without a reply ([io.ErrUnexpectedEOF]). So does
// one that another caller's Kill has just ended.
func Kill(ctx context.Context, addr netip.AddrPort) error {
	return wrap(addr, ask(ctx, addr, []byte{killReq}, readKill))
}

// callError names the epmd. Its text is made when it is shown: most refused connections are tried
// again.
type callError struct {
	addr netip.AddrPort
	err  error
}

func (e *callError) Error() string {
	if _, ok := e.err.(*net.OpError); ok { // it names the address itself
		return "epmd: " + e.err.Error()
	}
	return "epmd: " + e.addr.String() + ": " + e.err.Error()
}

func (e *callError) Unwrap() error { return e.err }

func wrap(addr netip.AddrPort, err error) error {
	if err == nil {
		return nil
	}
	return &callError{addr, err}
}

// deadline returns when a call ends.
func deadline(ctx context.Context) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d
	}
	return time.Now().Add(Timeout)
}

// packet is a request with its length before it.
func packet(request []byte) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 64), uint16(len(request)))
	return append(b, request...)
}

// readHeader reads the 4 bytes before the names: epmd's own port.
func readHeader(r io.Reader) (uint16, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, noEOF(err)
	}
	return parseHeader(b)
}

func parseHeader(b [4]byte) (uint16, error) {
	port := binary.BigEndian.Uint32(b[:])
	if port == 0 || port > 65535 {
		return 0, fmt.Errorf("%w: it starts with %+q", ErrNotEpmd, string(b[:]))
	}
	return uint16(port), nil
}

// readLines reads what follows the header: a line "name NAME at port PORT" for each node.
func readLines(r io.Reader) ([]Node, error) {
	var text bytes.Buffer
	text.Grow(1 << 15) // a thousand names
	if _, err := text.ReadFrom(io.LimitReader(r, maxReply+1)); err != nil {
		return nil, err
	}
	if text.Len() > maxReply {
		return nil, errTooLong()
	}
	rest := text.String()
	lines := strings.Count(rest, "\n")
	if lines > maxNames {
		return nil, fmt.Errorf("%w: it has more than %d names", ErrNotEpmd, maxNames)
	}
	nodes := make([]Node, 0, lines)
	for rest != "" {
		record, after, whole := cutRecord(rest)
		switch {
		case !strings.HasSuffix(rest, "\n"):
			return nil, io.ErrUnexpectedEOF
		case !whole:
			return nil, fmt.Errorf("%w: line %.80q", ErrNotEpmd, record)
		}
		name, port := parseRecord(record)
		if !isName(name) {
			return nil, fmt.Errorf("%w: a name of more than %d characters", ErrNotEpmd, maxName)
		}
		if rest = after; name != "" {
			nodes = append(nodes, Node{name, port})
		}
	}
	return nodes, nil
}

const atPort = " at port "

// cutRecord cuts off what epmd sent of one node: up to the first line end behind a port. A name may
// hold line ends, and whoever registers such a name must neither hide the nodes that follow nor
// make the whole reply unreadable. (Whoever has a name that looks like two records has two names:
// each could have been registered by itself.)
func cutRecord(text string) (record, rest string, whole bool) {
	for end := 0; ; end++ {
		i := strings.IndexByte(text[end:], '\n')
		if i < 0 {
			return text, "", false
		}
		end += i
		line := text[strings.LastIndexByte(text[:end], '\n')+1 : end]
		if i := strings.LastIndex(line, atPort); i >= 0 {
			if _, err := strconv.ParseUint(line[i+len(atPort):], 10, 16); err == nil {
				return text[:end], text[end+1:], true
			}
		}
	}
}

// parseRecord reads "name NAME at port PORT". The name is empty where somebody registered one that
// looks like the end of such a record.
func parseRecord(record string) (name string, port uint16) {
	i := strings.LastIndex(record, atPort)
	number, _ := strconv.ParseUint(record[i+len(atPort):], 10, 16)
	name, _ = strings.CutPrefix(record[:i], "name ")
	return name, uint16(number)
}

func errTooLong() error {
	return fmt.Errorf("%w: it is longer than %d MiB", ErrNotEpmd, maxReply>>20)
}

// isName reports whether epmd could have registered a name of that length.
func isName(name string) bool {
	return len(name) <= maxName || len(name) <= maxBytes && utf8.RuneCountInString(name) <= maxName
}

// readPort2 reads a PORT2_RESP: 119, result; and when the result is 0: port:2, type:1, protocol:1,
// highest:2, lowest:2, and two byte strings with a length of 2 bytes each, name and extra.
func readPort2(r io.Reader) (Info, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Info{}, noEOF(err)
	}
	if head[0] != port2Resp {
		return Info{}, fmt.Errorf("%w: it starts with %+q", ErrNotEpmd, head[:])
	}
	if head[1] != 0 {
		return Info{}, ErrNotRegistered
	}
	var fixed [8]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return Info{}, noEOF(err)
	}
	name, err := readString(r)
	if err != nil {
		return Info{}, err
	}
	extra, err := readString(r)
	if err != nil {
		return Info{}, err
	}
	if !isName(string(name)) {
		return Info{}, fmt.Errorf("%w: a name of more than %d characters", ErrNotEpmd, maxName)
	}
	return Info{
		Node:     Node{Name: string(name), Port: binary.BigEndian.Uint16(fixed[0:])},
		Hidden:   fixed[2] == nodeTypeHidden,
		Protocol: fixed[3],
		Highest:  binary.BigEndian.Uint16(fixed[4:]),
		Lowest:   binary.BigEndian.Uint16(fixed[6:]),
		Extra:    extra,
	}, nil
}

// pingReply reads a whole NAMES reply for its port.
func pingReply(r io.Reader) (uint16, error) {
	var b [1024]byte
	n, err := io.ReadAtLeast(r, b[:], 4)
	if err != nil {
		return 0, noEOF(err)
	}
	port, err := parseHeader([4]byte(b[:4]))
	for size := n; err == nil; size += n {
		if size > maxReply {
			return 0, errTooLong()
		}
		n, err = r.Read(b[:])
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return port, err
}

// readKill reads "OK" or "NO".
func readKill(r io.Reader) error {
	var b [2]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return noEOF(err)
	}
	switch string(b[:]) {
	case "OK":
		return nil
	case "NO":
		return ErrNodesRegistered
	}
	return fmt.Errorf("%w: it starts with %+q", ErrNotEpmd, b[:])
}

func readString(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, noEOF(err)
	}
	n := binary.BigEndian.Uint16(size[:])
	if n > maxBytes {
		return nil, fmt.Errorf("%w: a field of %d bytes", ErrNotEpmd, n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, noEOF(err)
}

// noEOF turns the end of the reply, where more had to come, into the error that says so.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
