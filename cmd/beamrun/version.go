package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is `beamrun version`: that of the module, as `go install` and git tags give it.
func (a *app) version(_ context.Context, args []string) error {
	if err := noArgs("version", args); err != nil {
		return err
	}
	version := "devel"
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		version = info.Main.Version
	}
	if a.json {
		return a.result("version", version, "")
	}
	_, err := fmt.Fprintf(a.stdout, "beamrun %s %s %s/%s\n",
		version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
