package cookie

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of README.md as they are observed")

// docTable is the table of README.md: what was observed, a row for each case.
type docTable struct {
	rows  []string
	index map[string]int // of a row, by its case
}

func newTable() *docTable { return &docTable{index: map[string]int{}} }

// add writes down a case. A user's outcome that is not root's has a row of its own.
func (d *docTable) add(name string, uid int, erl verdict, stricter, isNew bool, refused reading) {
	outcome := "accepted"
	if stricter {
		outcome = "refused, but not by Erlang"
	} else if isNew {
		outcome = "made (this is Load's)"
	} else if !erl.OK {
		outcome = "refused"
	}
	tidy := strings.NewReplacer(
		refused.Path, "PATH",
		filepath.Join(filepath.Dir(refused.Path), "dotfiles"), "DIR",
		filepath.Dir(refused.Path), "DIR",
		filepath.Dir(filepath.Dir(refused.Path)), "HOME",
		fmt.Sprint(nobodyUID+1), "THEIR_UID", fmt.Sprint(nobodyUID), "UID",
		"|", `\|`)
	rest := fmt.Sprintf(" | %s | %s | %s |",
		outcome, tidy.Replace(refused.Words), code(tidy.Replace(refused.Hint)))
	if uid != 0 && os.Geteuid() == 0 {
		if d.rows[d.index[name]] == "| "+name+rest {
			return
		}
		// root does not meet a user's limits
		i := d.index[name]
		d.rows[i] = strings.Replace(d.rows[i], "| "+name+" |", "| "+name+", as root |", 1)
	}
	d.index[name] = len(d.rows)
	d.rows = append(d.rows, "| "+name+rest)
}

func code(hint string) string {
	if isCommand(hint) {
		return "`" + hint + "`"
	}
	return hint
}

const head = "| case | Erlang, Load and LoadOrCreate | message: cookie file PATH: … | hint |\n" +
	"|---|---|---|---|\n"

// compare sees that README.md has exactly these rows.
func (d *docTable) compare(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(text), head)
	if !ok {
		t.Fatalf("no table with this head in README.md:\n%s", head)
	}
	end := strings.Index(after, "\n\n") + 1
	want := strings.Join(d.rows, "\n") + "\n"
	if after[:end] == want {
		return
	}
	if *update {
		text := []byte(before + head + want + after[end:])
		if err := os.WriteFile("README.md", text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("README.md (go test ./cookie -update writes it) has\n%s\nobserved:\n%s",
		after[:end], want)
}
