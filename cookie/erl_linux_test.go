package cookie

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/testenv"
)

// startEpmd starts an epmd for the test's nodes, on a port of its own, and returns the port. Port
// ends it.
func startEpmd(t *testing.T) string {
	t.Helper()
	port := strconv.Itoa(int(testenv.Port(t)))
	cmd := exec.Command("epmd", "-port", port)
	cmd.Dir = "/"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	end := time.Now().Add(5 * time.Second)
	for ; time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return port
		}
	}
	t.Fatal("epmd does not listen")
	return ""
}

// looksInConfig reports whether erl takes a cookie file of the configuration directory, as OTP 25
// and later do.
func looksInConfig(t *testing.T, base, port string) bool {
	t.Helper()
	p := place{t, filepath.Join(base, "config"), os.Geteuid()}
	p.must(os.Mkdir(p.home, 0o755))
	p.config()
	p.put(".config/erlang/"+fileName, secret, 0o400, p.uid)
	return bootErl(t, p.uid, port, nodeName("config", p.uid, 0), p.home).Cookie == secret
}

// verdict is what a program made of a cookie file.
type verdict struct {
	OK     bool
	Cookie string
	Words  string // of a refusal
}

func (v verdict) String() string { return fmt.Sprintf("%v %.300q %s", v.OK, v.Cookie, v.Words) }

// what auth.erl and atoms say of a cookie that they refuse, and of one that they cannot make. The
// last is "type|directory", by which auth.erl means to say that the file is of that type.
var refusals = regexp.MustCompile(
	`Too short cookie|Bad characters in cookie|accessible by owner only|` +
		`Error when reading|system_limit|Failed to (create|write)|` +
		`112,101,32\|(directory|device|other)`)

// bootErl starts a node as a user would. It returns whether the node came up, and with which
// cookie.
func bootErl(t *testing.T, uid int, port, node, home string) verdict {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const show = `io:format("COOKIE ~s~n", [[io_lib:format("~2.16.0b", [B]) || ` +
		`B <- atom_to_list(erlang:get_cookie())]]), halt().`
	cmd := exec.CommandContext(ctx, "erl", "-noinput", "-start_epmd", "false",
		"-sname", node, "+S", "1:1", "-eval", show)
	become(cmd, uid)
	cmd.Dir, cmd.WaitDelay = "/", time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home,
		"ERL_EPMD_PORT=" + port, "ERL_CRASH_DUMP_BYTES=0"}
	var out watcher
	cmd.Stdout, cmd.Stderr = &out, &out
	// It says it seconds before it ends, and some of it at the length of the file.
	out.found = func() { cmd.Process.Kill() }
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Errorf("%s: erl hangs", node)
	}
	line := regexp.MustCompile(`(?m)^COOKIE ([0-9a-f]+)$`).FindSubmatch(out.text)
	if err == nil && line != nil {
		text, err := hex.DecodeString(string(line[1]))
		if err != nil {
			t.Error(err)
		}
		return verdict{OK: true, Cookie: string(text)}
	}
	// else it would say nothing about the cookie
	if out.refusal == "" {
		t.Errorf("%s: erl failed otherwise: %v: %.600s", node, err, out.text)
	}
	return verdict{Words: out.refusal}
}

// watcher keeps what a node prints, and calls found when that is a refusal.
type watcher struct {
	text    []byte
	refusal string
	found   func()
}

func (w *watcher) Write(p []byte) (int, error) {
	w.text = append(w.text, p...)
	if w.refusal == "" {
		if w.refusal = string(refusals.Find(w.text)); w.refusal != "" {
			w.found()
		}
	}
	return len(p), nil
}

func nodeName(kind string, uid, i int) string {
	return fmt.Sprintf("cookie_%s_%d_%d_%d", kind, os.Getpid(), uid, i)
}
