package notify

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
)

// fromJSON reads one JSON object. Keys it does not know are ignored, so that
// what is built for another service's webhook works here too.
func fromJSON(raw []byte) (given, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, bad("body", "not valid JSON at byte %d: %s", syntax.Offset, syntax.Error())
		}
		return nil, bad("body", "not a JSON object; send {\"message\": …}")
	}
	if object == nil {
		return nil, bad("body", "not a JSON object; send {\"message\": …}")
	}
	g := given{}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if inputs[key] == "" {
			continue
		}
		text, err := jsonText(key, object[key])
		if err != nil {
			return nil, err
		}
		if err := g.set(key, text); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// jsonText is the value of one field: a string, for priority a number as well,
// for tags and to a list of strings as well. null is the same as absent.
func jsonText(key string, raw json.RawMessage) (string, error) {
	if string(raw) == "null" {
		return "", nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	switch inputs[key] {
	case "priority":
		var number json.Number
		if json.Unmarshal(raw, &number) == nil {
			return number.String(), nil
		}
		return "", bad(key, "must be a number or a string")
	case "tags", "to":
		var list []string
		if json.Unmarshal(raw, &list) == nil {
			return strings.Join(list, ","), nil
		}
		return "", bad(key, "must be a list of strings, or a string with commas")
	}
	return "", bad(key, "must be a string")
}
