package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// postJSON posts one JSON object. A notification that got no answer is not sent
// again: it may have arrived.
func (w *wire) postJSON(ctx context.Context, url string, header http.Header, object any) (answer, error) {
	body, err := json.Marshal(object)
	if err != nil {
		return answer{}, fmt.Errorf("cannot be written as JSON: %w", err)
	}
	return w.do(ctx, call{method: http.MethodPost, url: url, header: jsonHeader(header), body: body})
}

func jsonHeader(header http.Header) http.Header {
	header = header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	return header
}

// answeredJSON reads an answer into object; service is named when it is not what
// that service says.
func answeredJSON(a answer, service string, object any) error {
	if isHTML(a) || json.Unmarshal(a.body, object) != nil {
		return unexpected(a, service)
	}
	return nil
}
