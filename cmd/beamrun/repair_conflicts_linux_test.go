package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/testenv"
)

// otherUser is a user without a name.
const otherUser = 54321

// repairConflicts are what may stand against a name, and what `beamrun repair` says and exits with.
// In the texts, numbers and directories are masked.
var repairConflicts = []struct {
	what, said string // on stdout and stderr
	code       int
	kind       string // of --json
	do         func(h *repairHost) result
}{
	{"the name is another live node's", `beamrun: node alice@HOST: taken: epmd has the name alice for beam.smp (pid N), which listens on port N
hint: end one of them; this one is pid N
`, 1, "taken", func(h *repairHost) result {
		h.boot(lost(h.name)...)
		h.run("beamrun", "ensure")
		h.boot(erl("-sname", h.name)...)
		r := h.repair(h.name)
		if dry := h.repair("--dry-run", h.name); dry != r {
			h.t.Errorf("with --dry-run: %+v", dry)
		}
		return r
	}},
	{"somebody holds the name, and nobody listens", `beamrun: node alice@HOST: taken: epmd has the name alice for port N, where nobody listens
hint: see who holds it, by a connection to epmd, and end that: beamrun doctor
`, 1, "taken", func(h *repairHost) result {
		h.boot(lost(h.name)...)
		h.run("beamrun", "ensure")
		h.hold(h.name)
		r := h.repair(h.name)
		if out := h.hint(r, "and end that: "); !strings.Contains(out.stdout, fmt.Sprintf("; held by beamrun.test (pid %d)", os.Getpid())) {
			h.t.Errorf("the holder is pid %d: %+v", os.Getpid(), out)
		}
		return r
	}},
	{"two nodes have it", strings.Repeat(`beamrun: node alice@HOST: twins: 2 nodes of this host have the name alice: pid N, port N; pid N, port N
hint: end all but one of them
`, 2), 1, "twins", func(h *repairHost) result {
		v := h.boot(lost(h.name)...)
		h.boot(lost(h.name)...)
		h.run("beamrun", "ensure")
		r := h.repair(h.name)
		if h.has(h.name) {
			h.t.Error("one of them has it now")
		}
		v.end() // as the hint says
		h.mustRepair(h.name)
		return r
	}},
	{"another cookie", `beamrun: node alice@HOST: cookie: the node has another cookie
hint: give its own: --cookie SOURCE; its log has a line of this
`, 1, "cookie", func(h *repairHost) result {
		v := h.boot(lost(h.name)...)
		cmd := h.command("beamrun", "repair", "--cookie", "env:WRONG", h.name)
		cmd.Env = append(cmd.Env, "WRONG=Ck7wrong")
		h.secrets = append(h.secrets, "Ck7")
		r := h.result(cmd)
		r.stdout = epmdStarted.ReplaceAllString(r.stdout, "")
		if h.has(h.name) {
			h.t.Error("it is registered")
		}
		h.mustRepair(h.name)
		v.end()
		if log := v.log.String(); !strings.Contains(log, "Connection attempt") || strings.Contains(log, "Ck7") {
			h.t.Errorf("its log: %s", log)
		}
		return r
	}},
	{"no cookie file", `beamrun: node alice@HOST: cookie: its cookie file HOME/.erlang.cookie: no such file or directory
hint: say where its cookie is: --cookie SOURCE
`, 1, "cookie", func(h *repairHost) result {
		h.boot(lost(h.name)...)
		os.Remove(filepath.Join(h.home, ".erlang.cookie"))
		return h.repair(h.name)
	}},
	{"a hidden node", "alice@HOST, hidden (pid N, port N): registered again, in T\n", 0, "", func(h *repairHost) result {
		h.boot(lost(h.name, "-hidden")...)
		return h.repair(h.name)
	}},
	{"another user's node, for root", "alice@HOST (pid N, port N): registered again, in T\n", 0, "", func(h *repairHost) result {
		h.bootAs(h.as(otherUser, lost(h.name, "-eval", `io:format("booted~n")`)...))
		return h.repair(h.name)
	}},
	{"another user's node, for a user", `beamrun: node alice: other-user: it is another user's (uid N, pid N), or this user may not look into it
hint: as that user or as root: sudo beamrun repair alice
`, 1, "other-user", func(h *repairHost) result {
		h.needRoot()
		h.boot(lost(h.name)...)
		h.run("beamrun", "ensure")
		beamrun, err := builtBeamrun()
		if err != nil {
			h.t.Fatal(err)
		}
		// and it is none of theirs, if they name none
		if r := h.result(h.as(otherUser, beamrun, "repair")); r.code != 0 || r.stderr != "" ||
			!regexp.MustCompile(`^no node of yours has lost its name; (1 VM of other users was|\d+ VMs of other users were) not looked at\n$`).MatchString(r.stdout) {
			h.t.Errorf("%+v", r)
		}
		return h.result(h.as(otherUser, beamrun, "repair", h.name))
	}},
	{"a node whose user points at root's cookie", `beamrun: node alice@HOST: cookie: its cookie file HOME/.erlang.cookie: permission denied
`, 1, "cookie", func(h *repairHost) result {
		cmd := h.as(otherUser, lost(h.name, "-nocookie", "-eval", `io:format("booted~n")`)...)
		cmd.Env = append(cmd.Env, "HOME="+h.home) // the file there is root's
		h.bootAs(cmd)
		return h.repair(h.name)
	}},
	{"another network namespace", `beamrun: node alice: other-namespace: beam.smp (pid N) runs in another network namespace, where this epmd is not
hint: repair it there, in its container, or as root: nsenter -t N -n beamrun repair alice
`, 1, "other-namespace", func(h *repairHost) result {
		h.needRoot()
		v := h.boot(append([]string{"unshare", "--net", "sh", "-c", `ip link set lo up && exec "$@"`, "sh"}, lost(h.name)...)...)
		r := h.repair(h.name)
		defer h.killEpmdBeside(v.Process.Pid)
		if out := h.hint(r, "as root: "); !registeredAgain.MatchString(out.stdout) {
			h.t.Errorf("the hint: %+v", out)
		}
		if out := h.hint(result{stderr: fmt.Sprintf("nsenter -t %d -n beamrun names", v.Process.Pid)}, ""); !strings.HasPrefix(out.stdout, h.name+" ") {
			h.t.Errorf("names there: %+v", out)
		}
		return r
	}},
	{"another epmd", `beamrun: node alice: other-epmd: beam.smp (pid N) uses the epmd on port N (ERL_EPMD_PORT)
hint: beamrun --port N repair alice
`, 1, "other-epmd", func(h *repairHost) result {
		other := &repairHost{&host{h.t, h.home, testenv.Port(h.t)}, h.name, h.secrets}
		other.boot(lost(h.name)...)
		r := h.repair(h.name)
		if out := h.hint(r, "hint: "); !registeredAgain.MatchString(out.stdout) || !other.has(h.name) {
			h.t.Errorf("the hint: %+v", out)
		}
		// nothing against one of the same name here
		h.boot(lost(h.name)...)
		if here := h.repair(h.name); here.code != 0 || !strings.Contains(here.stdout, ": is registered, at port ") {
			h.t.Errorf("of the same name here: %+v", here)
		}
		return r
	}},
	{"a module of its own instead of epmd", `beamrun: node alice: epmdless: beam.smp (pid N) does without epmd: its epmd_module is own_epmd
`, 1, "epmdless", func(h *repairHost) result {
		const module = `-module(own_epmd). -compile([export_all,nowarn_export_all]).
			start_link()->ignore. register_node(_,_)->{ok,1}. register_node(_,_,_)->{ok,1}. names(_)->{error,address}.
			port_please(_,_)->noport. port_please(_,_,_)->noport. listen_port_please(_,_)->{ok,0}. address_please(_,_,_)->{error,nxdomain}.`
		h.write("own_epmd.erl", module)
		h.run("erl", "-noinput", "-eval", fmt.Sprintf(`{ok,_}=compile:file(%q,[{outdir,%[2]q}]),halt().`, filepath.Join(h.home, "own_epmd"), h.home))
		h.boot(erl("-sname", h.name, "-start_epmd", "false", "-pa", h.home, "-epmd_module", "own_epmd")...)
		return h.repair(h.name)
	}},
	{"a node of files, whose file is gone", `beamrun: node alice: epmdless: it does without epmd, and its file in HOME/.cache/beamrun/FOLDER is gone
hint: it makes it anew within 2 s; where it can't, beamrun doctor says so
`, 1, "epmdless", func(h *repairHost) result {
		v := h.boot(append([]string{"beamrun", "--epmdless"}, erl("-sname", h.name)...)...)
		v.Process.Signal(syscall.SIGSTOP) // or it makes it anew too soon
		if err := os.Remove(h.nodeFile(v)); err != nil {
			h.t.Error(err)
		}
		r := h.repair(h.name)
		v.Process.Signal(syscall.SIGCONT)
		h.awaitFile(v) // as the hint says
		if now := h.repair(h.name); now.code != 0 || !strings.Contains(now.stdout, ": is registered, at port ") {
			h.t.Errorf("then: %+v", now)
		}
		return r
	}},
	{"another user's node of files, for root", `beamrun: node alice: epmdless: it does without epmd, by files in HOME/.cache/beamrun/FOLDER, which could not be looked at: the directory is another user's
`, 1, "epmdless", func(h *repairHost) result {
		h.needRoot()
		beamrun, err := builtBeamrun()
		if err != nil {
			h.t.Fatal(err)
		}
		cmd := h.as(otherUser, append([]string{beamrun, "--epmdless"}, erl("-sname", h.name, "-eval", `io:format("booted~n")`)...)...)
		h.bootAs(cmd)
		r := h.repair(h.name)
		for _, v := range cmd.Env {
			if home, ok := strings.CutPrefix(v, "HOME="); ok { // the last one is theirs
				r.stderr = strings.Replace(r.stderr, home, h.home, 1)
			}
		}
		return r
	}},
	{"a node on a port that all share", `beamrun: node alice: epmdless: it listens on port N, as all of its peers
`, 1, "epmdless", func(h *repairHost) result {
		h.boot(append([]string{"beamrun", "--epmdless", "--dist-port", strconv.Itoa(int(testenv.Port(h.t)))}, erl("-sname", h.name)...)...)
		return h.repair(h.name)
	}},
	{"a node that speaks TLS", `beamrun: node alice: tls: it speaks TLS (-proto_dist), so it can't be asked to register
hint: OTP 23.3 and later register again within 2 s, unless they were started without epmd; else start it anew
`, 1, "tls", func(h *repairHost) result {
		v := h.boot(lost(h.name, "-proto_dist", "inet_tls", "-ssl_dist_optfile", h.tls())...)
		r := h.repair(h.name)
		v.endSilent()
		return r
	}},
	{"a stopped node", `beamrun: node alice: silent: at 127.0.0.1:N: it says nothing for 1s
hint: if it is stopped, wake it: kill -CONT N
`, 1, "silent", func(h *repairHost) result {
		v := h.boot(lost(h.name)...)
		v.Process.Signal(syscall.SIGSTOP)
		begin := time.Now()
		r := h.repair(h.name)
		if took := time.Since(begin); took > 5*time.Second {
			h.t.Errorf("after %v", took)
		}
		if out := h.hint(r, "wake it: "); out.code != 0 {
			h.t.Errorf("the hint: %+v", out)
		}
		h.mustRepair(h.name)
		return r
	}},
	{"no such node", `beamrun: node alice@localhost: not-found: no such node runs here, by all that user U can see
hint: beamrun doctor lists the nodes that have lost their names; those of other users are seen by root
`, 1, "not-found", func(h *repairHost) result { return h.repair(h.name + "@localhost") }},
	{"--cookie fresh", `beamrun: --cookie fresh: no node can have that one
hint: beamrun help repair
`, 2, "", func(h *repairHost) result {
		r := h.repair("--cookie", "fresh")
		if testenv.PID(h.port) != 0 {
			h.t.Error("an epmd was started")
		}
		return r
	}},
}

// Each conflict is said in plain words, with what mends it; what can be run of that is run.
func TestRepairConflicts(t *testing.T) {
	rows := make([]string, len(repairConflicts))
	var mu sync.Mutex
	t.Run("each", func(t *testing.T) { // ends when all of them have
		for i, c := range repairConflicts {
			t.Run(c.what, func(t *testing.T) {
				t.Parallel()
				h := newRepairHost(t)
				r := c.do(h)
				said := h.masked(r.stdout + r.stderr)
				if r.code != c.code || said != c.said {
					t.Errorf("exit %d:\n%s\nwant %d:\n%s", r.code, said, c.code, c.said)
				}
				if c.kind != "" && !strings.Contains(r.stderr, ": "+c.kind+": ") {
					t.Errorf("it is not %s: %+v", c.kind, r)
				}
				message, hint, _ := strings.Cut(strings.TrimSuffix(said, "\n"), "\nhint: ")
				mu.Lock()
				defer mu.Unlock()
				rows[i] = fmt.Sprintf("| %s | %d | %s | %s |", c.what, r.code, strings.TrimPrefix(message, "beamrun: "), hint)
			})
		}
	})
	t.Logf("\n| conflict | exit | message | hint |\n|---|---|---|---|\n%s", strings.Join(rows, "\n"))
}

// With --json each kind stands in a field.
func TestRepairConflictInJSON(t *testing.T) {
	t.Parallel()
	h := newRepairHost(t)
	h.boot(lost("alice")...)
	h.run("beamrun", "ensure")
	h.hold("alice")
	all := h.attempts("alice", "nobody")
	if len(all) != 2 || all[0].State != "lost" || all[0].Error.Kind != "taken" || all[0].Error.Hint == "" || all[1].State != "unknown" || all[1].Error.Kind != "not-found" {
		t.Errorf("%+v", all)
	}
	if r := h.repair("--json", "alice"); r.code != 1 || r.stderr != "" {
		t.Errorf("%+v", r)
	}
}

func (h *repairHost) needRoot() {
	h.t.Helper()
	if os.Getuid() != 0 {
		testenv.Skip(h.t, "only root can make this conflict")
	}
	testenv.Need(h.t, "ip", "nsenter", "unshare")
}

// as is a command of another user, who has a home and a cookie of their own.
func (h *repairHost) as(uid int, args ...string) *exec.Cmd {
	h.t.Helper()
	h.needRoot()
	home := &host{h.t, h.t.TempDir(), h.port}
	home.setCookie("Ck7ofother")
	h.secrets = append(h.secrets, "Ck7")
	for _, path := range []string{home.home, filepath.Join(home.home, ".erlang.cookie")} {
		if err := os.Chown(path, uid, uid); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(home.home), 0o711); err != nil {
		h.t.Fatal(err)
	}
	cmd := h.lasting(args[0], args[1:]...)
	cmd.Env = append(cmd.Env, "HOME="+home.home)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	return cmd
}

// hint runs the command of a hint, as it stands there after those words.
func (h *repairHost) hint(r result, after string) result {
	h.t.Helper()
	_, command, ok := strings.Cut(r.stderr, after)
	if !ok {
		h.t.Errorf("no hint in %+v", r)
	}
	out := h.result(h.command("sh", "-c", command))
	out.stdout = epmdStarted.ReplaceAllString(out.stdout, "")
	return out
}

func (h *repairHost) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// tls makes the options of a node that speaks TLS.
func (h *repairHost) tls() string {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		h.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		h.t.Fatal(err)
	}
	var b bytes.Buffer
	pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert})
	pem.Encode(&b, &pem.Block{Type: "EC PRIVATE KEY", Bytes: private})
	path := h.write("node.pem", b.String())
	return h.write("tls.conf", fmt.Sprintf("[{server, [{certfile, %q}, {keyfile, %[1]q}]}, {client, [{verify, verify_none}]}].\n", path))
}

// killEpmdBeside ends the epmd in the process's network namespace, where a port of this one is not
// seen.
func (h *repairHost) killEpmdBeside(pid int) {
	h.t.Helper()
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if ours, _ := os.Readlink("/proc/self/ns/net"); err != nil || namespace == ours {
		h.t.Fatalf("the network of pid %d: %q, %v", pid, namespace, err)
	}
	killed := 0
	for _, pid := range pids() {
		its, _ := os.Readlink("/proc/" + pid + "/ns/net")
		if name, _ := os.ReadFile("/proc/" + pid + "/comm"); its == namespace && string(name) == "epmd\n" {
			n, _ := strconv.Atoi(pid)
			syscall.Kill(n, syscall.SIGKILL)
			killed++
		}
	}
	if killed != 1 {
		h.t.Errorf("%d epmds beside pid %d", killed, pid)
	}
}

var masks = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`alice_\d+`), "alice"},
	{regexp.MustCompile(`(pid|port|uid|-t|-CONT|user) \d+`), "$1 N"},
	{regexp.MustCompile(`:\d+\b`), ":N"},
	{regexp.MustCompile(`in [0-9.]+[mµ]?s\n`), "in T\n"},
	{regexp.MustCompile(`by all that (this user|user \S+) can`), "by all that user U can"},
	{regexp.MustCompile(`beam(\.smp)?\b`), "beam.smp"},
	{regexp.MustCompile(`nodes-[^\s/,]+`), "FOLDER"},
}

func (h *repairHost) masked(s string) string {
	s = strings.NewReplacer(h.home, "HOME", "@"+shortHostname(), "@HOST").Replace(s)
	for _, m := range masks {
		s = m.from.ReplaceAllString(s, m.to)
	}
	return s
}
