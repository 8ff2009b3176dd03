package httpfront

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// The example is GitHub's own (docs.github.com, "Validating webhook deliveries",
// "Testing the webhook payload validation").
func TestGitHubsDocumentedSignatureVerifiesAndNotWithOneByteFlipped(t *testing.T) {
	const secret, payload = "It's a Secret to Everybody", "Hello, World!"
	const signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	s := &Server{hooks: newHooks(nil), limits: newLimits(Config{})}
	check := func(body, signature string) error {
		r := httptest.NewRequest("POST", "/h/x", strings.NewReader(body))
		r.Header.Set("X-Hub-Signature-256", signature)
		done, err := s.checkSignature(httptest.NewRecorder(), r, "X-Hub-Signature-256", secret)
		done()
		return err
	}
	if err := check(payload, signature); err != nil {
		t.Errorf("the documented example: %v", err)
	}
	for i := range payload {
		flipped := payload[:i] + string(payload[i]^1) + payload[i+1:]
		if check(flipped, signature) == nil {
			t.Errorf("%q verified", flipped)
		}
	}
	if check(payload, strings.Replace(signature, "757", "756", 1)) == nil {
		t.Error("a flipped signature verified")
	}
}
