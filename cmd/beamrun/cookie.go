package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/beamrun/beamrun/cookie"
)

// cookie is `beamrun cookie [new|path|check|rotate]`, check when nothing is said. Only new prints a
// cookie.
func (a *app) cookie(_ context.Context, args []string) error {
	verb := "check"
	if len(args) > 0 {
		verb = args[0]
	}
	if !slices.Contains([]string{"new", "path", "check", "rotate"}, verb) {
		// what was given may be a cookie, so it is not shown
		return &usageError{
			"cookie takes new, path, check or rotate, and nothing else", "beamrun help cookie",
		}
	}
	if len(args) > 1 {
		return &usageError{"cookie " + verb + " takes no argument", "beamrun help cookie"}
	}
	if verb == "new" {
		return a.result("cookie", cookie.New(), "")
	}
	path, err := a.source.Path()
	if err != nil {
		return &usageError{err.Error(), "--cookie user or --cookie file:PATH"}
	}
	switch verb {
	case "path":
		return a.result("path", path, "")
	case "check":
		c, err := cookie.Load(path)
		if err != nil {
			return err
		}
		weak := ""
		if err := cookie.Weak(c); err != nil {
			weak = err.Error()
		}
		switch {
		case a.json:
			return a.printJSON(struct {
				Path string `json:"path"`
				Weak string `json:"weak,omitempty"` // why it can be guessed
			}{path, weak})
		case weak != "":
			return a.result("path", path, ": valid, but "+weak)
		}
		return a.result("path", path, ": good")
	}
	if err := cookie.Rotate(path); err != nil {
		return err
	}
	return a.result("path", path,
		": holds a new cookie; nodes that run keep the old one until they start again")
}

// result prints one value: with --json as an object, else with what words follow it.
func (a *app) result(key, value, words string) error {
	if a.json {
		return a.printJSON(map[string]string{key: value})
	}
	_, err := fmt.Fprintln(a.stdout, clean(value+words))
	return err
}
