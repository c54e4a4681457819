package main

import (
	"bytes"
	"go/ast"
	gobuild "go/build"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docs/api.txt has all that the public packages export on Linux, so that a review shows each change
// of it. `go test ./cmd/beamrun -run TestAPI -update` writes it anew.
func TestAPI(t *testing.T) {
	const path = "../../docs/api.txt"
	var api bytes.Buffer
	patterns := []string{"cookie/*.go", "ensure/*.go", "ensure/*/*.go", "launcher/*.go"}
	for _, pattern := range patterns {
		files, err := filepath.Glob("../../" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		seen := ""
		for _, f := range files {
			if p := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(f)), "../../"); p != seen {
				writeAPI(t, &api, p)
				seen = p
			}
		}
	}
	if *update {
		if err := os.WriteFile(path, api.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, api.Bytes()) {
		t.Errorf("%s is not what the packages export: go test ./cmd/beamrun -run TestAPI -update",
			path)
	}
}

// writeAPI writes the exported declarations of a package, without their comments.
func writeAPI(t *testing.T, to *bytes.Buffer, name string) {
	t.Helper()
	ctxt := gobuild.Default
	ctxt.GOOS, ctxt.GOARCH, ctxt.CgoEnabled = "linux", "amd64", false
	dir := filepath.Join("../..", filepath.FromSlash(name))
	p, err := ctxt.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, f := range p.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(dir, f), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	d, err := doc.NewFromFiles(fset, files, "github.com/beamrun/beamrun/"+name)
	if err != nil {
		t.Fatal(err)
	}
	to.WriteString("package " + name + "\n\n")
	write := func(node ast.Decl) {
		if f, ok := node.(*ast.FuncDecl); ok {
			f.Body = nil
		}
		var text bytes.Buffer
		config := printer.Config{Mode: printer.UseSpaces, Tabwidth: 4}
		if err := config.Fprint(&text, fset, node); err != nil {
			t.Fatal(err)
		}
		// the comments between the lines are gone
		to.Write(append(bytes.ReplaceAll(text.Bytes(), []byte("\n\n"), []byte("\n")), '\n'))
	}
	values := func(all []*doc.Value) {
		for _, v := range all {
			write(v.Decl)
		}
	}
	funcs := func(all []*doc.Func) {
		for _, f := range all {
			write(f.Decl)
		}
	}
	values(d.Consts)
	values(d.Vars)
	funcs(d.Funcs)
	for _, typ := range d.Types {
		write(typ.Decl)
		values(typ.Consts)
		values(typ.Vars)
		funcs(typ.Funcs)
		funcs(typ.Methods)
	}
	to.WriteString("\n")
}
