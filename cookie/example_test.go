package cookie_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/beamrun/beamrun/cookie"
)

// Whoever asks first makes the file, and everybody gets the same cookie.
func ExampleLoadOrCreate() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "cookie")

	first, err := cookie.LoadOrCreate(path)
	if err != nil {
		log.Fatal(err)
	}
	second, err := cookie.LoadOrCreate(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(first), first == second)
	// Output: 64 true
}

// Every host that has the secret computes the same cookie for a label.
func ExampleDerive() {
	secret := []byte("the same 32 random bytes on every host")
	web, err := cookie.Derive(secret, "web")
	if err != nil {
		log.Fatal(err)
	}
	again, err := cookie.Derive(secret, "web")
	if err != nil {
		log.Fatal(err)
	}
	jobs, err := cookie.Derive(secret, "jobs")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(web), web == again, web == jobs)
	// Output: 64 true false
}

// A source is a text, such as the value of a flag.
func ExampleSource() {
	os.Setenv("MY_COOKIE", "an example, and no good cookie")

	var source cookie.Source
	if err := source.UnmarshalText([]byte("env:MY_COOKIE")); err != nil {
		log.Fatal(err)
	}
	c, err := source.Cookie()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(c))

	// One that gives no cookie says what helps.
	_, err = cookie.Source("file:no/such/file").Cookie()
	var e *cookie.Error
	if errors.As(err, &e) {
		fmt.Println(e.Path, errors.Is(err, os.ErrNotExist), e.Hint != "")
	}
	// Output:
	// 30
	// no/such/file true true
}
