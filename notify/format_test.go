package notify

import (
	"html"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html/atom"

	xhtml "golang.org/x/net/html"
)

func TestFormats(t *testing.T) {
	for _, test := range []struct {
		name              string
		message           Message
		plain, html       string
		forSlack, forTele string
	}{
		{name: "plain", message: Message{Text: "a <b> & *c*"}, plain: "a <b> & *c*"},
		{
			name: "markdown", message: Message{Format: Markdown, Text: "# Head\n\n- one\n- two **x**\n\n1. a\n\n```sh\nls  -l\n```\n"},
			plain:    "# Head\n\n- one\n- two **x**\n\n1. a\n\n```sh\nls  -l\n```\n",
			html:     "<h1>Head</h1>\n<ul>\n<li>one</li>\n<li>two <strong>x</strong></li>\n</ul>\n<ol>\n<li>a</li>\n</ol>\n<pre><code>ls  -l\n</code></pre>",
			forSlack: "*Head*\n\n• one\n• two *x*\n1. a\n\n```ls  -l\n```",
			forTele:  "<b>Head</b>\n\n• one\n• two <b>x</b>\n1. a\n\n<pre>ls  -l\n</pre>",
		},
		{
			name: "markdown with raw HTML", message: Message{Format: Markdown, Text: "a <img src=x onerror=alert(1)> b <script>alert(1)</script>\n\n[c](javascript:alert(1)) [d](https://x.test/)"},
			plain:    "a <img src=x onerror=alert(1)> b <script>alert(1)</script>\n\n[c](javascript:alert(1)) [d](https://x.test/)",
			html:     "<p>a  b alert(1)</p>\n<p>c <a href=\"https://x.test/\" rel=\"nofollow\">d</a></p>",
			forSlack: "a b alert(1)\n\nc <https://x.test/|d>",
			forTele:  "a b alert(1)\n\nc <a href=\"https://x.test/\">d</a>",
		},
		{
			name: "html", message: Message{Format: HTML, Text: `<h2 style=x>Hi</h2><p onclick=x()>a<br>b &lt;c&gt; <em>d</em><script>x()</script><a href="javascript:x()">e</a><a href="https://x.test/?a=1&b=2">f</a><table><tr><td>1<td>2</table>`},
			plain:    "Hi\n\na\nb <c> def (https://x.test/?a=1&b=2)\n\n1 2",
			html:     `<h2>Hi</h2><p>a<br>b &lt;c&gt; <em>d</em>e<a href="https://x.test/?a=1&amp;b=2" rel="nofollow">f</a><table><tr><td>1<td>2</table>`,
			forSlack: "*Hi*\n\na\nb &lt;c&gt; _d_e<https://x.test/?a=1&amp;b=2|f>\n\n1 2",
			forTele:  "<b>Hi</b>\n\na\nb &lt;c&gt; <i>d</i>e<a href=\"https://x.test/?a=1&amp;b=2\">f</a>\n\n1 2",
		},
		{name: "nothing left", message: Message{Format: HTML, Text: "<script>x()</script>"}, plain: "(a message without text)"},
		{name: "left open", message: Message{Format: HTML, Text: "<b>a<i>b</b>c"}, plain: "abc", html: "<b>a<i>b</b>c", forSlack: "*a_b_*c", forTele: "<b>a<i>b</i></b>c"},
	} {
		if got := test.message.plain(); got != test.plain {
			t.Errorf("%s: plain is %q, want %q", test.name, got, test.plain)
		}
		if got := test.message.html(); got != test.html {
			t.Errorf("%s: html is %q, want %q", test.name, got, test.html)
		}
		if got := write(test.message.html(), slackStyle{}); got != test.forSlack {
			t.Errorf("%s: Slack's is %q, want %q", test.name, got, test.forSlack)
		}
		if got := write(test.message.html(), telegramStyle{}); got != test.forTele {
			t.Errorf("%s: Telegram's is %q, want %q", test.name, got, test.forTele)
		}
	}
}

// attacks are ways to bring a script into a page that has been sanitised.
var attacks = []string{
	"<script>alert(1)</script>", "<scr<script>ipt>alert(1)</scr</script>ipt>", "<img src=x onerror=alert(1)>",
	"<svg/onload=alert(1)>", `<a href="javascript:alert(1)">x</a>`, `<a href=" &#x6A;avascript:alert(1)">x</a>`,
	"<a href=\"java\tscript:alert(1)\">x</a>", `<a href="data:text/html,<script>alert(1)</script>">x</a>`,
	`<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">`,
	`<iframe srcdoc="<script>alert(1)</script>">`, "<b onmouseover=alert(1)>x</b>", "<style>@import'//x.test'</style>",
	"[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))", "[x](data:text/html;base64,PHNjcmlwdD4=)", "[x]: javascript:alert(1)\n\n[x]",
	"<javascript:alert(1)>", "![x](javascript:alert(1))", "![x](x \"onerror=alert(1)\")", "[a](https://x.test/\"onclick=alert(1))",
	"<p>`<script>`</p>", "&lt;script&gt;alert(1)&lt;/script&gt;", "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
}

func TestNoScriptReachesHTML(t *testing.T) {
	for _, attack := range attacks {
		for _, format := range []Format{Markdown, HTML} {
			safeHTML(t, Message{Format: format, Text: attack})
		}
	}
}

// FuzzSanitise reads what would leave as a browser reads it, and finds nothing
// that runs.
func FuzzSanitise(f *testing.F) {
	for _, attack := range attacks {
		f.Add(attack)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []Format{Markdown, HTML} {
			safeHTML(t, Message{Format: format, Text: text, Title: text})
		}
	})
}

func safeHTML(t *testing.T, m Message) {
	t.Helper()
	body := m.html()
	for name, page := range map[string]string{
		"html": m.titledHTML(body), "telegram": write(body, telegramStyle{}),
	} {
		root, err := xhtml.Parse(strings.NewReader(page))
		if err != nil {
			t.Fatal(err)
		}
		for node := range root.Descendants() {
			if node.Type != xhtml.ElementNode {
				continue
			}
			allowed := []atom.Atom{atom.Html, atom.Head, atom.Body, atom.A, atom.P, atom.Br, atom.Hr, atom.B, atom.Strong, atom.I, atom.Em, atom.U, atom.S,
				atom.Strike, atom.Del, atom.Ins, atom.Sub, atom.Sup, atom.Code, atom.Pre, atom.Blockquote, atom.Ul, atom.Ol, atom.Li,
				atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table, atom.Thead, atom.Tbody, atom.Tr, atom.Th, atom.Td}
			if !slices.Contains(allowed, node.DataAtom) {
				t.Fatalf("%s of %q has <%s>: %q", name, m.Text, node.Data, page)
			}
			for _, attr := range node.Attr {
				good := attr.Key == "rel" && attr.Val == "nofollow"
				if attr.Key == "href" && node.DataAtom == atom.A {
					address := strings.ToLower(html.UnescapeString(attr.Val))
					good = strings.HasPrefix(address, "https:") || strings.HasPrefix(address, "http:") || strings.HasPrefix(address, "mailto:")
				}
				if !good {
					t.Fatalf("%s of %q has %s=%q: %q", name, m.Text, attr.Key, attr.Val, page)
				}
			}
		}
	}
}

// TestHostileMarkdownIsRenderedInTime: a message of the greatest length cannot
// keep the relay busy.
func TestHostileMarkdownIsRenderedInTime(t *testing.T) {
	for _, part := range []string{">", "[", "![", "*a_", "`", "- ", "1. ", "<", "|a\n|-\n", "[a](", "\\", "&", "**a ", "~~", "- - ", "<a", "[a]: b\n", "http://a."} {
		text := strings.Repeat(part, MaxMessage/len(part))
		prose := text[:len(part)*(maxMarkdown/len(part))]
		start := time.Now()
		Message{Format: Markdown, Text: prose}.html()
		Message{Format: HTML, Text: text}.plain()
		took := time.Since(start)
		t.Logf("%q: %v", part, took)
		if took > 30*time.Second {
			t.Errorf("%q, repeated, took %v", part, took)
		}
	}
}
