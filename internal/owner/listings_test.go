package owner

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"testing"
)

// What other systems' programs print, after their manuals.
func TestListings(t *testing.T) {
	lsof := "p812\ncbeam.smp\nu501\nf17\nn*:50001\nf18\nn[::1]:4000\np9\ncepmd\nu0\nf3\nn127.0.0.1:4369\nnsomewhere\n\np\n"
	at := func(uid int, addr string) Socket {
		return Socket{Addr: netip.MustParseAddrPort(addr), UID: uid, Backlog: UnknownBacklog}
	}
	want := []Program{
		{Process: Process{812, "beam.smp"}, UID: 501, Sockets: []Socket{at(501, "0.0.0.0:50001"), at(501, "[::1]:4000")}},
		{Process: Process{9, "epmd"}, Sockets: []Socket{at(0, "127.0.0.1:4369")}}, {}}
	if got := parseLsof(lsof); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	netstat := "\r\nAktive Verbindungen\r\n\r\n  Proto  Lokale Adresse  Remoteadresse  Status  PID\r\n" +
		"  TCP    0.0.0.0:4369           0.0.0.0:0              ABHÖREN         888\r\n" +
		"  TCP    127.0.0.1:50001        127.0.0.1:50002        HERGESTELLT     888\r\n" +
		"  TCP    [::]:4369              [::]:0                 ABHÖREN         888\r\n"
	if got := parseNetstat(netstat); !reflect.DeepEqual(got, map[int][]Socket{888: {at(0, "0.0.0.0:4369"), at(0, "[::]:4369")}}) {
		t.Errorf("%+v", got)
	}
	tasks := "\"System Idle Process\",\"0\",\"Services\",\"0\",\"8 K\"\r\n\"erl.exe\",\"888\",\"Console\",\"1\",\"50,000 K\"\r\nInformation: none\r\n"
	if got := parseTasklist(tasks); !slices.Equal(got, []Process{{0, "System Idle Process"}, {888, "erl"}}) {
		t.Errorf("%+v", got)
	}
}

// What a real lsof prints of this very process.
func TestRealLsof(t *testing.T) {
	if _, err := exec.LookPath("lsof"); err != nil {
		if os.Getenv("BEAMRUN_NOSKIP") != "" { // see testenv.Skip
			t.Fatal(err)
		}
		t.Skip(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, _ := exec.Command("lsof", "-nP", "-iTCP", "-sTCP:LISTEN", "-F", "pcun").Output()
	for _, p := range parseLsof(string(out)) {
		if p.PID == os.Getpid() && p.UID == os.Getuid() && p.Sockets[0].Addr.String() == l.Addr().String() {
			return
		}
	}
	t.Errorf("%v is not in\n%s", l.Addr(), out)
}
