package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"path"
	"strings"
	"sync"
)

//go:embed assets
var embedded embed.FS

// An Asset is a file that pages are made of.
type Asset struct {
	Type string // as Content-Type says it
	ETag string // quoted; changes with the body
	Body []byte // must not be changed
	// Gzip is Body compressed, nil when that saves nothing.
	Gzip []byte
}

// types are what the machine's own table may not know, or know otherwise.
var types = map[string]string{
	".js":  "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8",
}

var assets = sync.OnceValue(func() map[string]Asset {
	all := map[string]Asset{}
	err := fs.WalkDir(embedded, "assets", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := embedded.ReadFile(file)
		if err != nil {
			return err
		}
		all[strings.TrimPrefix(file, "assets/")] = newAsset(path.Ext(file), body)
		return nil
	})
	if err != nil {
		panic(err) // the files are in the binary
	}
	return all
})

func newAsset(ext string, body []byte) Asset {
	sum := sha256.Sum256(body)
	a := Asset{Type: types[ext], Body: body, ETag: `"` + hex.EncodeToString(sum[:12]) + `"`}
	if a.Type == "" {
		a.Type = mime.TypeByExtension(ext)
	}
	var small bytes.Buffer
	w, err := gzip.NewWriterLevel(&small, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is one
	}
	w.Write(body) //nolint:errcheck // a buffer takes everything
	w.Close()
	if small.Len() < len(body) {
		a.Gzip = small.Bytes()
	}
	return a
}

// Find returns the asset of this name, such as "site.css".
func Find(name string) (Asset, bool) {
	a, ok := assets()[name]
	return a, ok
}
