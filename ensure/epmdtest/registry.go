package epmdtest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// maxOld is how many names of former nodes epmd keeps at least before it takes the place of the
// oldest for a new one.
const maxOld = 1000

// entry is a node that is or was registered.
type entry struct {
	node
	counter uint32 // what the creation is made from
	conn    *conn  // nil: made by Server.Register
}

// registry is epmd's memory.
type registry struct {
	nodes []*entry // the newest first, as in the replies
	old   []*entry // former nodes, the oldest first
}

func (r *registry) find(name string) *entry {
	for _, e := range r.nodes {
		if e.name == name {
			return e
		}
	}
	return nil
}

// register returns nil when the name is taken or not valid.
func (r *registry) register(n node, c *conn) *entry {
	if !n.valid() || r.find(n.name) != nil {
		return nil
	}
	e := &entry{node: n, conn: c}
	i := slices.IndexFunc(r.old, func(o *entry) bool { return o.name == n.name })
	switch {
	case i >= 0: // the node is back: another creation than before
		e.counter = r.old[i].counter + 1
		r.old = slices.Delete(r.old, i, i+1)
	case len(r.old) > maxOld:
		e.counter = r.old[0].counter
		r.old = slices.Delete(r.old, 0, 1)
	default:
		e.counter = uint32(time.Now().Unix()) + 1
	}
	e.counter = max(e.counter, 4) // 0 to 3 are for the nodes of version 5
	r.nodes = slices.Insert(r.nodes, 0, e)
	return e
}

func (r *registry) unregister(e *entry) {
	if i := slices.Index(r.nodes, e); i >= 0 {
		r.nodes = slices.Delete(r.nodes, i, i+1)
		r.old = append(r.old, e)
	}
}

// outcome is what becomes of the connection after the reply.
type outcome int

const (
	hangUp outcome = iota
	stayOpen
	endServer
)

// answer carries a request out.
func (r *registry) answer(req request, c *conn) (reply []byte, then outcome) {
	switch req.code {
	case alive2Req:
		// refused, the connection stays open all the same
		return alive2Reply(req.node.highest, r.register(req.node, c)), stayOpen
	case port2Req:
		return port2Reply(r.find(req.name)), hangUp
	case namesReq:
		reply = binary.BigEndian.AppendUint32(nil, uint32(c.port))
		for _, e := range r.nodes {
			reply = fmt.Appendf(reply, "name %s at port %d\n", e.name, e.port)
		}
	case dumpReq: // each line ends with a NUL, of which the documentation has nothing
		reply = binary.BigEndian.AppendUint32(nil, uint32(c.port))
		for _, e := range r.nodes {
			reply = fmt.Appendf(reply, "active name     <%s> at port %d, fd = %d\n\x00",
				e.name, e.port, e.conn.number())
		}
		for _, e := range r.old {
			reply = fmt.Appendf(reply, "old/unused name <%s>, port = %d, fd = %d \n\x00",
				e.name, e.port, e.conn.number())
		}
	case killReq:
		if len(r.nodes) > 0 && !c.relaxed {
			return []byte("NO"), hangUp
		}
		return []byte("OK"), endServer
	case stopReq:
		if !c.relaxed {
			return nil, hangUp
		}
		e := r.find(req.name)
		if e == nil {
			return []byte("NOEXISTSTOPPED"), hangUp // the real epmd says both
		}
		r.unregister(e)
		e.conn.hangUp()
		reply = []byte("STOPPED")
	}
	return reply, hangUp
}

// alive2Reply is the reply to a node of that highest version; e is nil when it was refused.
func alive2Reply(highest uint16, e *entry) []byte {
	result, creation := byte(0), uint32(99)
	switch {
	case e == nil:
		result = 1
	case highest >= 6:
		creation = e.counter
	default:
		creation = e.counter%3 + 1
	}
	if highest >= 6 {
		return binary.BigEndian.AppendUint32([]byte{alive2XResp, result}, creation)
	}
	return binary.BigEndian.AppendUint16([]byte{alive2Resp, result}, uint16(creation))
}

func port2Reply(e *entry) []byte {
	if e == nil {
		return []byte{port2Resp, 1}
	}
	b := binary.BigEndian.AppendUint16([]byte{port2Resp, 0}, e.port)
	b = append(b, e.kind, e.protocol)
	b = binary.BigEndian.AppendUint16(b, e.highest)
	b = binary.BigEndian.AppendUint16(b, e.lowest)
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.name)))
	b = append(b, e.name...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.extra)))
	return append(b, e.extra...)
}
