package httpfront

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// sse is the format of server-sent events (WHATWG HTML, section 9.2). A message
// is an event without a type; a part of one is of type "part", the last part
// again without. What is not UTF-8 goes as base64, with "base64" or
// "part-base64" as its type. A message whose producer went away ends with an
// event of type "cut". With ?json=true each event's data is what [ndjson] would
// write as a line, and there are no types: so a page gets the headers as well, and
// unlike there a sign of life.
type sse struct{ json bool }

func (sse) contentType() string { return "text/event-stream" }

func (sse) beat(buf []byte) []byte { return append(buf, ":\n\n"...) }

func (as sse) append(buf []byte, f frame) []byte {
	if as.json {
		buf = fmt.Appendf(buf, "id: %d\ndata: ", f.info.ID)
		return append(ndjson{}.append(buf, f), '\n')
	}
	kind := ""
	switch {
	case f.cut:
		kind = "cut"
	case f.part > 0 && !f.end:
		kind = "part"
	}
	data := f.data
	if !utf8.Valid(data) {
		data = base64.StdEncoding.AppendEncode(nil, data)
		if kind != "" {
			kind += "-"
		}
		kind += "base64"
	}
	buf = append(buf, "id: "...)
	buf = strconv.AppendUint(buf, f.info.ID, 10)
	buf = append(buf, '\n')
	if kind != "" {
		buf = append(buf, "event: "...)
		buf = append(buf, kind...)
		buf = append(buf, '\n')
	}
	for {
		line, rest, more := cutLine(data)
		buf = append(buf, "data: "...)
		buf = append(buf, line...)
		buf = append(buf, '\n')
		if !more {
			break
		}
		data = rest
	}
	return append(buf, '\n')
}

// cutLine cuts at the first line end as the format knows them: \n, \r\n or \r.
func cutLine(data []byte) (line, rest []byte, more bool) {
	i := bytes.IndexAny(data, "\r\n")
	if i < 0 {
		return data, nil, false
	}
	end := i + 1
	if data[i] == '\r' && end < len(data) && data[end] == '\n' {
		end++
	}
	return data[:i], data[end:], true
}
