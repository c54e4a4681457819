// Package cookie makes, checks, stores and derives Erlang cookies: the shared secret by which nodes
// let each other in (Erlang Reference Manual, "Distributed Erlang", section "Security").
//
// Errors and messages of this package never hold a cookie.
package cookie

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/beamrun/beamrun/internal/cookiefile"
)

// MaxLen, 255, is the most characters that a cookie may have: it becomes an Erlang atom.
const MaxLen = cookiefile.MaxLen

// New returns a fresh cookie: SHA-256 over 32 bytes of the operating system's random numbers, as 64
// characters of [0-9a-f]. So it never starts with the - of an option and never needs quoting.
//
// The hash adds no secrecy to the 256 random bits; it is a fixed alphabet and length, whatever the
// source becomes.
func New() string {
	var random [32]byte
	rand.Read(random[:]) // never fails: it ends the program instead
	sum := sha256.Sum256(random[:])
	return hex.EncodeToString(sum[:])
}

// Derive returns the cookie that everyone computes who knows secret: HMAC-SHA256 of the label, as
// 64 characters of [0-9a-f]. The secret should have 32 random bytes (a short one can be guessed
// from a recorded handshake); two labels give two cookies, and neither gives away the other or
// the secret. An empty secret or label is an error.
func Derive(secret []byte, label string) (string, error) {
	if len(secret) == 0 {
		return "", errors.New("cookie: the secret to derive from is empty (" + SecretVar + ")")
	}
	if label == "" {
		return "", errors.New("cookie: the label to derive for is empty")
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(label))
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// Check reports whether Erlang takes c as a cookie: 1 to 255 printable ASCII characters, spaces
// included (kernel's auth.erl; the most that an atom holds).
func Check(c string) error {
	if err := cookiefile.Check(c); err != nil {
		return fmt.Errorf("cookie: %w", err)
	}
	return nil
}
