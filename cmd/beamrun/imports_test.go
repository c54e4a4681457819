package main

import (
	"cmp"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Imports run one way: a package imports only what stands in a row below its own. The packages of
// internal are one row and import each other; they know nothing of the others but epmd's constants.
func TestImportsRunOneWay(t *testing.T) {
	rows := [][]string{
		{"cmd/beamrun"},
		{"ensure/doctor"},
		{"ensure/watch", "launcher"},
		{"ensure/epmdless"},
		{"ensure", "ensure/orphan", "ensure/epmdtest"},
		{"cookie", "ensure/epmd"},
	}
	row := map[string]int{}
	for i, packages := range rows {
		for _, p := range packages {
			row[p] = i
		}
	}
	const module, root = "github.com/beamrun/beamrun/", "../.."
	isInternal := func(p string) bool { return strings.HasPrefix(p, "internal/") }
	seen := map[string]bool{}
	for _, top := range []string{"cmd", "cookie", "ensure", "internal", "launcher"} {
		dir := filepath.Join(root, top)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && d.Name() == "testdata" {
				return cmp.Or(err, fs.SkipDir)
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			rel, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			from := filepath.ToSlash(rel)
			if from == "internal/testenv" || from == "internal/shell/shelltest" { // for tests alone
				return nil
			}
			if seen[from] = true; !isInternal(from) {
				if _, known := row[from]; !known {
					t.Errorf("%s has no row", from)
				}
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, i := range file.Imports {
				name, _ := strconv.Unquote(i.Path.Value)
				to, ours := strings.CutPrefix(name, module)
				switch {
				case !ours, isInternal(to):
				case isInternal(from) && to != "ensure/epmd",
					!isInternal(from) && row[to] <= row[from]:
					t.Errorf("%s imports %s", path, to)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for p := range row {
		if !seen[p] {
			t.Errorf("there is no package %s", p)
		}
	}
}
