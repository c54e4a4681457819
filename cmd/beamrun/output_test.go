package main

import "testing"

func TestClean(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "plain é 日本 \n 'x'": "plain é 日本 \n 'x'", "a\x1b[31mb": `a\x1b[31mb`, "\u202egnp.exe": `\u202egnp.exe`, "\xff\ufffd": `\xff` + "\ufffd", "\r\t\x00": `\r\t\x00`,
	} {
		if got := clean(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
