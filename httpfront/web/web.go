package web

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	texttemplate "text/template"
	"unicode"
	"unicode/utf8"
)

//go:embed templates
var files embed.FS

// Facts are what a page says about the relay it comes from.
type Facts struct {
	Base string // of URLs, such as https://relay.example, without a slash at the end
	Host string // name or address in it, without the port
	SSH  SSH
}

// SSH is the SSH door, as far as a page shows it.
type SSH struct {
	Port        int    // 0: the door is closed
	Fingerprint string // of the host key, as ssh prints it: SHA256:…
}

// Address is Base without its scheme.
func (f Facts) Address() string {
	_, address, _ := strings.Cut(f.Base, "://")
	return address
}

// WebSocket is Base for WebSockets.
func (f Facts) WebSocket() string { return "ws" + strings.TrimPrefix(f.Base, "http") }

// Secure tells whether what is sent to Base is encrypted on its way.
func (f Facts) Secure() bool { return strings.HasPrefix(f.Base, "https://") }

// Command is how ssh reaches the relay.
func (f Facts) Command() string {
	host := strings.Trim(f.Host, "[]")
	if f.SSH.Port == 22 {
		return "ssh " + host
	}
	return fmt.Sprintf("ssh -p %d %s", f.SSH.Port, host)
}

// A Page is one that is served whole, by the name of its template.
type Page string

// The pages.
const (
	Home     Page = "home"
	Terminal Page = "terminal"
	Inspect  Page = "inspect"
	Drop     Page = "drop"
	Docs     Page = "docs"
	failure  Page = "failure"
)

var titles = map[Page]string{
	Home: "A relay for scripts", Terminal: "Terminal", Inspect: "Inspect", Drop: "Drop", Docs: "Manual",
	failure: "That did not work",
}

// view is what templates see.
type view struct {
	Facts
	Page  Page
	Title string
	Nonce string
	Doc   *document // of the manual
	Docs  []*document
	Code  int // of a failure
	Line  string
}

var pages = func() map[Page]*template.Template {
	all := map[Page]*template.Template{}
	for p := range titles {
		all[p] = template.Must(template.ParseFS(files, "templates/layout.html", "templates/"+string(p)+".html"))
	}
	return all
}()

var help = texttemplate.Must(texttemplate.ParseFS(files, "templates/help.txt"))

// Render makes a page, and the policy it is to be served with.
func Render(p Page, f Facts) (html []byte, policy string, err error) {
	return render(view{Facts: f, Page: p, Title: titles[p]})
}

// Failure makes the page that says in one line why there is no other, and the policy
// it is to be served with.
func Failure(code int, line string, f Facts) (html []byte, policy string, err error) {
	v := view{Facts: f, Page: failure, Title: titles[failure], Code: code, Line: sentence(line)}
	if code == http.StatusNotFound {
		v.Title = "Not found"
	}
	return render(v)
}

// sentence writes one of the relay's plain lines as people write in prose.
func sentence(line string) string {
	r, n := utf8.DecodeRuneInString(line)
	return string(unicode.ToUpper(r)) + line[n:] + "."
}

func render(v view) (html []byte, policy string, err error) {
	v.Nonce = rand.Text()
	var b bytes.Buffer
	if err := pages[v.Page].ExecuteTemplate(&b, "layout", v); err != nil {
		return nil, "", err
	}
	return b.Bytes(), contentPolicy(v.Page, v.Nonce), nil
}

// Help is what the relay says at / to a client that does not ask for HTML.
func Help(f Facts) (string, error) {
	var b strings.Builder
	err := help.Execute(&b, f)
	return b.String(), err
}

// contentPolicy lets a page load its own scripts and styles by their nonce, talk
// to this relay, and nothing else. Sources such as 'self' would allow what anybody
// published on a channel.
func contentPolicy(p Page, nonce string) string {
	styles := "style-src 'nonce-" + nonce + "'"
	if p == Terminal {
		// xterm.js makes style elements, which terminal.js gives the nonce, and
		// writes colours of single characters into style attributes, which can have
		// none. Attributes cannot load anything, as img-src and font-src hold for them.
		styles += "; style-src-attr 'unsafe-inline'"
	}
	return "default-src 'none'; script-src 'nonce-" + nonce + "'; " + styles +
		"; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'" +
		"; require-trusted-types-for 'script'; trusted-types 'none'"
}
