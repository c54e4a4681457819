package cookie

import (
	"path/filepath"
	"testing"
)

func BenchmarkCookie(b *testing.B) {
	b.Run("New", func(b *testing.B) {
		for b.Loop() {
			New()
		}
	})
	b.Run("Derive", func(b *testing.B) {
		secret := []byte("a secret of the whole cluster's")
		for b.Loop() {
			if _, err := Derive(secret, "web"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("LoadOrCreate", func(b *testing.B) { // of a file that is there
		path := filepath.Join(b.TempDir(), "cookie")
		for b.Loop() {
			if _, err := LoadOrCreate(path); err != nil {
				b.Fatal(err)
			}
		}
	})
}
