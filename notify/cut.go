package notify

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

const ellipsis = "…"

// cutUTF16 keeps s within limit UTF-16 code units, which is how Discord's and
// Telegram's clients count. What is left of a text that was cut ends with "…".
func cutUTF16(s string, limit int) (string, bool) {
	return cut(s, limit, func(r rune) int { return utf16.RuneLen(r) })
}

// cutBytes keeps s within limit bytes of UTF-8.
func cutBytes(s string, limit int) (string, bool) {
	return cut(s, limit, utf8.RuneLen)
}

// cut keeps s, which is UTF-8, within limit as size counts, and says whether
// something is missing. It cuts between grapheme clusters, so that neither a
// flag, nor a family, nor a letter with its accents is taken apart. A single
// cluster that is longer than the limit on its own is no character anybody
// reads, and is cut between code points.
func cut(s string, limit int, size func(rune) int) (string, bool) {
	if limit <= 0 {
		return "", s != ""
	}
	dots := size('…')
	used, end := 0, 0 // what s[:end] counts, with room for the ellipsis
	state, at, rest := -1, 0, s
	total := 0
	for len(rest) > 0 {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		for _, r := range cluster {
			total += size(r)
		}
		at += len(cluster)
		if total <= limit-dots {
			used, end = total, at
		}
		if total > limit {
			break
		}
	}
	if total <= limit {
		return s, false
	}
	if end == 0 {
		for i, r := range s {
			if used+size(r) > limit-dots {
				end = i
				break
			}
			used += size(r)
		}
	}
	if dots > limit {
		return "", true
	}
	return s[:end] + ellipsis, true
}
