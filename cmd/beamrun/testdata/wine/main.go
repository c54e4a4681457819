// Command wine writes bcryptprimitives.dll, whose ProcessPrng Go's runtime needs on Windows and Wine before 9 lacks: a
// library without code, whose one export is forwarded to the generator that Wine has.
package main

import (
	"bytes"
	"encoding/binary"
	"log"
	"os"
)

const (
	base    = 0x3_0000_0000
	section = 0x1000 // where the one section is in memory; in the file it is at 0x200
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: wine FILE")
	}
	if err := os.WriteFile(os.Args[1], library(), 0o644); err != nil {
		log.Fatal(err)
	}
}

// library is a PE file, see "PE Format" in Microsoft's documentation.
func library() []byte {
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			binary.Write(&b, binary.LittleEndian, v)
		}
	}
	put([]byte("MZ"), make([]byte, 58), uint32(0x40))
	// file header: x86-64, one section; an optional header of 240 bytes; a DLL without relocations
	put([]byte("PE\x00\x00"), uint16(0x8664), uint16(1), make([]byte, 12), uint16(240), uint16(0x2023))
	// optional header: PE32+; sizes; no entry point; the image's base, alignments, versions and size
	put(uint16(0x20b), uint16(0), uint32(0), uint32(0x200), uint32(0), uint32(0), uint32(section),
		uint64(base), uint32(0x1000), uint32(0x200), uint16(6), uint16(0), uint16(0), uint16(0), uint16(6), uint16(0), uint32(0),
		uint32(0x2000), uint32(0x200), uint32(0), uint16(3), uint16(0x100),
		uint64(1<<20), uint64(4096), uint64(1<<20), uint64(4096), uint32(0), uint32(16))
	put(uint32(section), uint32(0x200), make([]byte, 15*8)) // of 16 tables, exports only
	put([]byte(".edata\x00\x00"), uint32(0x200), uint32(section), uint32(0x200), uint32(0x200), make([]byte, 12), uint32(0x4000_0040))
	put(make([]byte, 0x200-b.Len()))

	// a table of 40 bytes, then the one function, its name, its number, and the texts
	const file, name, target = "bcryptprimitives.dll\x00", "ProcessPrng\x00", "advapi32.SystemFunction036\x00"
	texts := uint32(section + 40 + 4 + 4 + 2)
	put(uint32(0), uint32(0), uint32(0), texts, uint32(1), uint32(1), uint32(1), uint32(section+40), uint32(section+44), uint32(section+48))
	put(texts+uint32(len(file+name)), texts+uint32(len(file)), uint16(0), []byte(file+name+target))
	put(make([]byte, 0x400-b.Len()))
	return b.Bytes()
}
