package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// everyPage are the pages that people see, and what shows that their scripts ran.
var everyPage = map[string]string{
	"/":           "!document.getElementById('box').hidden",
	"/terminal":   "!document.getElementById('connect').hidden",
	"/inspect":    "!document.getElementById('watch').hidden",
	"/drop":       "!document.getElementById('both').hidden",
	"/docs":       "true",
	"/docs/http":  "document.querySelector('.prose .command button')",
	"/docs/users": "document.querySelector('.prose .command button')",
}

// TestPages shows the pages in a real browser.
func TestPages(t *testing.T) {
	b := startBrowser(t)
	for name, test := range map[string]func(*testing.T, *chromium){
		"everybody can use every page": pagesAreAccessible,

		"the box does what it says":                theBoxDoesWhatItSays,
		"a published page cannot be the site":      aPublishedPageCannotBeTheSite,
		"pages explain themselves without scripts": pagesExplainThemselvesWithoutScripts,
		"everything is reached by keyboard":        everythingIsReachedByKeyboard,

		"two tabs and ssh chat":                twoTabsAndAnSSHClientChat,
		"the terminal keeps still":             theTerminalKeepsStill,
		"a flood leaves the terminal usable":   aFloodLeavesTheTerminalUsable,
		"few bytes do not freeze the terminal": fewBytesDoNotFreezeTheTerminal,

		"a hook is inspected":            aHookIsInspected,
		"a webhook is made and watched":  aWebhookIsMadeAndWatched,
		"a flood leaves inspect usable":  aFloodLeavesInspectUsable,
		"a user's channel is inspected":  aUsersChannelIsInspected,
		"marks that pile up are thinned": marksThatPileUpAreThinned,

		"a dropped file is downloaded":   aDroppedFileIsDownloaded,
		"what passes is an age file":     whatPassesIsAnAgeFile,
		"a file is received to disk":     aFileIsReceivedToDisk,
		"names of files are harmless":    namesOfFilesAreHarmless,
		"a file too long to encrypt":     aFileTooLongToEncryptIsRefused,
		"page to page":                   pageToPage,
		"a wrong key opens nothing":      aWrongKeyOpensNothing,
		"shared files are received":      sharedFilesAreReceived,
		"an endless answer is cut short": anEndlessAnswerIsNotReadWhole,
		"a cut transfer goes on":         aCutTransferGoesOn,

		"blocked WebSockets are done without":  blockedWebSocketsAreDoneWithout,
		"a network that comes back":            aNetworkThatComesBackIsTrustedNoMore,
		"a relay that restarts is found again": aRelayThatRestartsIsFoundAgain,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
	for name, test := range map[string]func(*testing.T, *chromium){
		"held back streams are polled":      heldBackStreamsArePolled,
		"a failed poll loses nothing":       aFailedPollLosesNothing,
		"a slow message holds up no other":  aSlowMessageHoldsUpNoOther,
		"a longer message is read on":       aMessageLongerThanPollsIsReadOn,
		"a message without end":             aMessageWithoutEndIsShownInPieces,
		"nginx as it comes is no hindrance": nginxAsItComesIsNoHindrance,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // polls are mostly waited for
			test(t, b)
		})
	}
}

// pagesAreAccessible has axe-core look at every page, narrow and wide, light and
// dark, and finds no page wider than the screen.
func pagesAreAccessible(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	_, port, _ := strings.Cut(r.http, ":")
	site := "http://" + farName + ":" + port
	look := maps.Clone(everyPage)
	look["/docs/none"] = "document.getElementById('failure')"
	for path, ready := range look {
		p := b.open(t, site+path)
		if path == "/docs/none" {
			p.may("status of 404")
		}
		for _, width := range []int64{360, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				p.do(view(width, scheme), chromedp.Navigate(site+path))
				p.until(ready)
				p.picture(fmt.Sprintf("%s-%d-%s", strings.Trim(strings.ReplaceAll(path, "/", "-"), "-"), width, scheme))
				p.nothingIsAskedOfOthers(path)
				p.axe(fmt.Sprintf("%s at %d px, %s", path, width, scheme))
			}
		}
	}
}

// axe fails the test for each rule that the page, as it is now, breaks.
func (p *tab) axe(where string) {
	p.t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", ".cache", "npm", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		p.t.Fatalf("%v; .ci/npm.sh, which 'make test' calls, lays it there", err)
	}
	js[bool](p, string(source)+"\ntrue")
	for _, v := range js[[]string](p, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(
		(r) => r.violations.map((v) => v.id + ": " + v.help + "\n" + v.nodes.map((n) => n.html + "\n" + n.failureSummary).join("\n")))`) {
		p.t.Errorf("%s: %s", where, v)
	}
	if over := js[float64](p, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
		p.t.Errorf("%s: it is %v px wider than the screen", where, over)
	}
}

// inBothSchemes looks at a page in use, wide and narrow, light and dark.
func (p *tab) inBothSchemes(name string) {
	p.t.Helper()
	for _, width := range []int64{1280, 360} {
		for _, scheme := range []string{"dark", "light"} {
			p.do(view(width, scheme))
			where := fmt.Sprintf("%s-%d-%s", name, width, scheme)
			p.picture(where)
			p.axe(where)
		}
	}
	p.do(view(1280, "light"))
}
