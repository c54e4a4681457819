package epmd

import (
	"fmt"
	"strings"
	"testing"
)

// What a reply of that many names takes, but for the network: to keep them all, and to drop them.
func BenchmarkParse(b *testing.B) {
	for _, nodes := range []int{0, 10, 100, 1000} {
		var reply strings.Builder
		reply.WriteString(header)
		for i := range nodes {
			fmt.Fprintf(&reply, "name node%d at port %d\n", i, 30000+i)
		}
		b.Run(fmt.Sprint("nodes=", nodes), func(b *testing.B) {
			for b.Loop() {
				if got, err := readNames(strings.NewReader(reply.String())); len(got) != nodes || err != nil {
					b.Fatal(len(got), err)
				}
			}
		})
		b.Run(fmt.Sprint("dropped=", nodes), func(b *testing.B) {
			for b.Loop() {
				if _, err := pingReply(strings.NewReader(reply.String())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
