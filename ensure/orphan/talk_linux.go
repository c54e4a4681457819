package orphan

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// maxTalk bounds what root and a helper say to each other. Once the helper is the node's user, that
// user decides what it says.
const maxTalk = 8 << 10

// request is what a helper is told: which process, as who, and what it was seen to be.
type request struct {
	PID   int
	Birth string // of that process, so that it is not another one with its pid
	UID   int
	Name  string
	Addr  netip.AddrPort // the node's
	Epmd  netip.AddrPort
	Left  time.Duration // until the deadline
}

// reply is what a helper says. An empty Kind: the node is registered.
type reply struct {
	Kind Kind   `json:",omitempty"`
	Text string `json:",omitempty"`
}

// kinds are those that a helper may say.
var kinds = []Kind{
	KindTaken, KindCookie, KindTLS, KindUser, KindNamespace,
	KindEpmd, KindEpmdless, KindSilent, KindRefused,
}

func readJSON(r io.Reader, to any) error {
	text, err := io.ReadAll(io.LimitReader(r, maxTalk+1))
	if err != nil {
		return err
	}
	if len(text) > maxTalk {
		return fmt.Errorf("more than %d bytes", maxTalk)
	}
	return json.Unmarshal(text, to)
}
