package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// restlessBeamrun is beamrun for which the time of day is set all the time, see [restlessTime]. To
// set the machine's own clock would disturb everybody on it. The monotonic clock goes on evenly, as
// on a machine where that is done.
var restlessBeamrun = sync.OnceValues(func() (string, error) {
	dir, err := makeBuiltDir()
	if err != nil {
		return "", err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	changed := nowFunc.ReplaceAllString(string(text), "$0\n"+restlessTime)
	if changed == string(text) {
		return "", errors.New("this Go's time.Now is another than the test knows")
	}
	replacement, overlay := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json")
	files, err := json.Marshal(map[string]map[string]string{"Replace": {source: replacement}})
	err = errors.Join(err, os.WriteFile(replacement, []byte(changed), 0o600),
		os.WriteFile(overlay, files, 0o600))
	if err != nil {
		return "", err
	}
	return build("restless/beamrun", "-overlay", overlay)
})

// nowFunc is the beginning of time.Now.
var nowFunc = regexp.MustCompile(`func Now\(\) Time \{\n\tsec, nsec, mono := (now|runtimeNow)\(\)`)

// restlessTime sets the clock an hour back, right, and an hour forward, for 8 ms each.
const restlessTime = "\tsec += 3600 * (mono>>23%3 - 1)"
