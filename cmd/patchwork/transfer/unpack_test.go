package transfer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnpackStaysInItsDirectory(t *testing.T) {
	for name, h := range map[string]tar.Header{
		"dots":          {Name: "d/../../evil", Typeflag: tar.TypeReg},
		"absolute":      {Name: "/../evil", Typeflag: tar.TypeReg},
		"link":          {Name: "d/evil", Linkname: "/etc", Typeflag: tar.TypeSymlink},
		"hard link":     {Name: "d/evil", Linkname: "../evil", Typeflag: tar.TypeLink},
		"device":        {Name: "d/evil", Typeflag: tar.TypeChar},
		"file as a dir": {Name: "d", Typeflag: tar.TypeReg},
	} {
		t.Run(name, func(t *testing.T) {
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			h.Mode = 0o644
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			w.Close()
			dir := t.TempDir()
			_, err := unpack(&archive, filepath.Join(dir, "in"), int64(archive.Len()))
			if inside := name == "dots" || name == "absolute"; (err == nil) != inside { // what is left of such a name is inside
				t.Errorf("error %v", err)
			}
			if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) > 1 {
				t.Errorf("outside of the directory: %q", found)
			}
		})
	}
}

// A sparse entry of PAX format 1.0 is a few bytes that stand for many.
func TestUnpackWritesNoMoreThanCame(t *testing.T) {
	block := func(text string) string { return text + strings.Repeat("\x00", 512-len(text)) }
	header := func(name string, size int, kind byte) string {
		h := []byte(block(name))
		copy(h[100:], fmt.Sprintf("0000644\x000000000\x000000000\x00%011o\x0000000000000\x00        %cxxxx", size, kind))
		copy(h[157:], strings.Repeat("\x00", 100))
		copy(h[257:], "ustar\x0000")
		sum := 0
		for _, b := range h {
			sum += int(b)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		return string(h)
	}
	records := "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n26 GNU.sparse.name=d/hole\n34 GNU.sparse.realsize=3000000000\n"
	bomb := header("d/pax", len(records), 'x') + block(records) + header("d/hole", 512, '0') + block("1\n3000000000\n0\n") + block("") + block("")
	dir := filepath.Join(t.TempDir(), "in")
	_, err := unpack(strings.NewReader(bomb), dir, int64(len(bomb)))
	if err == nil || !strings.Contains(err.Error(), "longer than what came") {
		t.Errorf("error %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "hole")); err == nil {
		t.Errorf("a file of %d bytes", info.Size())
	}
}
