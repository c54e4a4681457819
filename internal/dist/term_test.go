package dist_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/internal/dist"
	"github.com/beamrun/beamrun/internal/dist/disttest"
)

// Each tag, as OTP's external format has it, and what is short of it.
func TestReadTerm(t *testing.T) {
	for text, want := range map[string]any{
		"a\x07":                                7,
		"b\xff\xff\xff\xfe":                    -2,
		"b\x7f\xff\xff\xff":                    1<<31 - 1,
		"n\x04\x00\x05\x01\x00\x00":            0x105,
		"n\x01\x01\x05":                        -5,
		"n\x00\x00":                            0,
		"d\x00\x02ok":                          dist.Atom("ok"),
		"s\x02ok":                              dist.Atom("ok"),
		"v\x00\x02\xc3\xa9":                    dist.Atom("é"),
		"w\x02ok":                              dist.Atom("ok"),
		"w\x00":                                dist.Atom(""),
		"k\x00\x03abc":                         "abc",
		"m\x00\x00\x00\x02hi":                  "hi",
		"h\x02w\x02oka\x01":                    []any{dist.Atom("ok"), 1},
		"i\x00\x00\x00\x01a\x01":               []any{1},
		"j":                                    dist.List{},
		"l\x00\x00\x00\x02a\x01a\x02j":         dist.List{1, 2},
		"Xw\x01n" + strings.Repeat("\x00", 12): dist.Atom("pid"),
	} {
		got, rest, err := dist.ReadTerm([]byte(text + "rest"))
		if !reflect.DeepEqual(got, want) || string(rest) != "rest" || err != nil {
			t.Errorf("%q: %#v, %q, %v; want %#v", text, got, rest, err, want)
		}
		for n := range len(text) {
			if got, _, err := dist.ReadTerm([]byte(text[:n])); err == nil {
				t.Errorf("%q: %#v", text[:n], got)
			}
		}
	}
	for _, bad := range []string{"F12345678", "l\x00\x00\x00\x01a\x01a\x02", "l\x00\x00\x00\x01a\x01l\x00\x00\x00\x01a\x01j", "n\x08\x0012345678",
		strings.Repeat("h\x01", 17) + "j", "\x83a\x01"} {
		if got, _, err := dist.ReadTerm([]byte(bad)); !errors.Is(err, dist.ErrTerm) {
			t.Errorf("%q: %#v, %v", bad, got, err)
		}
	}
}

// What is written is read back.
func TestTermRoundTrip(t *testing.T) {
	for _, term := range []any{dist.Atom("ok"), dist.Atom("é"), 0, -1, 1 << 30, "", "text", dist.List{}, dist.List{1, "x"}, []any{}, []any{dist.Atom("a"), dist.List{[]any{2}}}} {
		got, rest, err := dist.ReadTerm(dist.AppendTerm(nil, term))
		if !reflect.DeepEqual(got, term) && dist.Show(got) != dist.Show(term) || len(rest) != 0 || err != nil {
			t.Errorf("%#v: %#v, %q, %v", term, got, rest, err)
		}
	}
	if got, _, err := dist.ReadTerm(dist.AppendTerm(nil, dist.PID{"n@h", 1 << 31})); got != dist.Atom("pid") || err != nil {
		t.Errorf("a pid: %v, %v", got, err)
	}
	if s := dist.Show([]any{dist.Atom("error"), dist.List{1, "a\"b", []any{}}}); s != `{error,[1,"a\"b",{}]}` {
		t.Error(s)
	}
}

// A few bytes that promise billions of elements take no memory.
func TestTermPromises(t *testing.T) {
	for _, tag := range []string{"l", "i", "m"} {
		for _, count := range []string{"\xff\xff\xff\xff", "\x7f\xff\xff\xff", "\x80\x00\x00\x00"} {
			text := []byte(tag + count + strings.Repeat("j", 100))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := dist.ReadTerm(text)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; err == nil || got > 1<<20 {
				t.Errorf("%q: %v, and %d bytes", text[:5], err, got)
			}
		}
	}
}

func FuzzTerm(f *testing.F) {
	f.Add(disttest.FromRex([]any{dist.Atom("ok"), 1})[2:])
	f.Add([]byte("l\xff\xff\xff\xffjjjj"))
	f.Add([]byte("i\x00\x00\x00\x02a\x01n\x04\x00\x01\x02\x03\x04"))
	f.Add([]byte("Xw\x01n123456789012"))
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := bytes.Clone(b)
		term, rest, err := dist.ReadTerm(b)
		if !bytes.Equal(b, kept) {
			t.Fatalf("%q became %q", kept, b)
		}
		if err != nil {
			if term != nil {
				t.Errorf("%q: %v and %v", b, term, err)
			}
			return
		}
		if !bytes.HasSuffix(b, rest) || len(rest) >= len(b) {
			t.Fatalf("%q: rest %q", b, rest)
		}
		if n := count(term); n > len(b) {
			t.Errorf("%q: %d terms", b, n)
		}
		dist.Show(term)
	})
}

// count is how many terms it consists of.
func count(term any) int {
	var all []any
	switch v := term.(type) {
	case []any:
		all = v
	case dist.List:
		all = v
	}
	n := 1
	for _, e := range all {
		n += count(e)
	}
	return n
}
