package sshfront

import "unicode/utf8"

// A cleaner takes control sequences out of text that is going to a terminal, so
// that nobody can send what moves cursors, sets titles, writes clipboards or makes
// the terminal answer (ECMA-48 and what xterm adds). What comes out is valid
// UTF-8 of which newline and tab are the only control characters; what is not UTF-8
// becomes U+FFFD. It works on a stream: however the stream is cut into
// pieces, the same comes out.
//
// A newline ends every sequence, so that one left open swallows no more than the
// rest of its line.
type cleaner struct {
	state   cleanState
	partial [utf8.UTFMax]byte // a character that is not whole yet
	n       int
}

type cleanState uint8

const (
	plainText   cleanState = iota
	afterEsc               // ESC, perhaps with intermediate bytes: one more ends it
	inControl              // CSI: ends with a byte from @ to ~
	inString               // OSC, DCS, SOS, PM, APC: ends with ST, BEL, CAN or SUB
	escInString            // perhaps the ESC of ST
)

// clean appends the clean form of src to dst.
func (c *cleaner) clean(dst, src []byte) []byte {
	for len(src) > 0 {
		if c.n == 0 && c.state == plainText {
			// What most text is made of needs no machine.
			i := 0
			for i < len(src) && (src[i] >= ' ' && src[i] < 0x7f || src[i] == '\n' || src[i] == '\t') {
				i++
			}
			if i > 0 {
				dst, src = append(dst, src[:i]...), src[i:]
				continue
			}
		}
		if c.n == 0 && src[0] < utf8.RuneSelf {
			dst, src = c.rune(dst, rune(src[0])), src[1:]
			continue
		}
		c.partial[c.n] = src[0]
		if !utf8.FullRune(c.partial[:c.n+1]) {
			c.n++
			src = src[1:]
			continue
		}
		r, size := utf8.DecodeRune(c.partial[:c.n+1])
		switch {
		case size == c.n+1 && (r != utf8.RuneError || size > 1):
			src = src[1:] // a whole character
		case c.n == 0:
			r, src = loneByte(src[0]), src[1:]
		default:
			// What came before is broken; this byte may begin something.
		}
		c.n = 0
		dst = c.rune(dst, r)
	}
	return dst
}

// flush appends what is left at the end of the stream.
func (c *cleaner) flush(dst []byte) []byte {
	if c.n > 0 {
		c.n = 0
		dst = c.rune(dst, utf8.RuneError)
	}
	return dst
}

// loneByte returns what a byte is that neither begins a character nor continues
// one: terminals that are not set to UTF-8 heed control characters of 8 bits.
func loneByte(b byte) rune {
	if b >= 0x80 && b < 0xa0 {
		return rune(b)
	}
	return utf8.RuneError
}

// rune takes one character and appends it if it is text.
func (c *cleaner) rune(dst []byte, r rune) []byte {
	switch r {
	case '\n', '\t':
		c.state = plainText
		return append(dst, byte(r))
	case 0x1b: // ESC
		if c.state == inString || c.state == escInString {
			c.state = escInString
		} else {
			c.state = afterEsc
		}
		return dst
	case 0x18, 0x1a: // CAN, SUB
		c.state = plainText
		return dst
	case 0x07: // BEL
		if c.state == inString || c.state == escInString {
			c.state = plainText
		}
		return dst
	case 0x90, 0x98, 0x9d, 0x9e, 0x9f: // DCS, SOS, OSC, PM, APC
		c.state = inString
		return dst
	case 0x9b: // CSI
		c.state = inControl
		return dst
	case 0x9c: // ST
		c.state = plainText
		return dst
	}
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return dst // other control characters; terminals heed them within sequences too
	}
	switch c.state {
	case plainText:
		return utf8.AppendRune(dst, r)
	case afterEsc:
		c.state = afterEscape(r)
	case inControl:
		if r >= '@' {
			c.state = plainText
		}
	case escInString:
		if r == '\\' {
			c.state = plainText
		} else {
			c.state = afterEscape(r)
		}
	}
	return dst
}

// afterEscape returns the state behind ESC and r.
func afterEscape(r rune) cleanState {
	switch {
	case r == '[':
		return inControl
	case r == ']' || r == 'P' || r == 'X' || r == '^' || r == '_':
		return inString
	case r >= ' ' && r <= '/':
		return afterEsc
	}
	return plainText
}
