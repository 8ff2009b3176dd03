package sshfront

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"patchwork/broker"
)

// maxAccess is how many may stand on one access list.
const maxAccess = 100

// anybodyOnWeb stands in an access list for requests without credentials; the
// older word for it is pico.
const anybodyOnWeb = "http"

// parseAccess reads an access list: user names, fingerprints of keys, http.
func parseAccess(text string) ([]string, error) {
	var list []string
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		switch {
		case entry == "":
			return nil, errors.New("want names with commas between, like bob,SHA256:…")
		case entry == "pico":
			entry = anybodyOnWeb
		case isFingerprint(entry) || broker.CheckUser(entry) == nil:
		default:
			return nil, fmt.Errorf("%q is neither a user nor the SHA256:… of a key", short(entry))
		}
		if !slices.Contains(list, entry) {
			list = append(list, entry)
		}
	}
	if len(list) > maxAccess {
		return nil, fmt.Errorf("more than %d names", maxAccess)
	}
	return list, nil
}

// isFingerprint tells whether text is the fingerprint of a key as ssh-keygen -l
// prints it.
func isFingerprint(text string) bool {
	hash, ok := strings.CutPrefix(text, "SHA256:")
	sum, err := base64.RawStdEncoding.DecodeString(hash)
	return ok && err == nil && len(sum) == 32
}

// guard puts the access list, if there is one, on a channel that the session uses
// without being a publisher or subscriber in the broker's eyes. What it returns
// takes it off again.
func (s *session) guard(n broker.Name, o *options) (leave func(), err error) {
	if o.access == nil {
		return func() {}, nil
	}
	p, err := s.srv.cfg.Broker.Publish(n, broker.PublishOptions{As: s.as, Access: o.access})
	if err != nil {
		return nil, err
	}
	return p.Close, nil
}
