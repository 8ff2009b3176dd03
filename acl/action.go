package acl

import (
	"fmt"
	"strings"
)

// An Action is what somebody wants to do. Rights are checked against it, never
// against an HTTP method alone.
type Action uint8

// The actions. Forward is a connection to HOST:PORT (huproxy, ssh -W), Tunnel
// opens a reverse tunnel's prefix, Admin is a user's control endpoints.
const (
	Receive Action = iota
	Send
	Answer
	Forward
	Tunnel
	Admin
)

var actionNames = [...]string{"receive", "send", "answer", "forward", "tunnel", "admin"}

func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// ParseAction reads an action's name, or an HTTP method for what a plain request
// of that method does: GET receives, POST, PUT, PATCH and DELETE send. The
// second result is the method to give to Check, "" for an action's name.
func ParseAction(word string) (Action, string, error) {
	for a, name := range actionNames {
		if word == name {
			return Action(a), "", nil
		}
	}
	switch word {
	case "GET", "HEAD":
		return Receive, word, nil
	case "POST", "PUT", "PATCH", "DELETE":
		return Send, word, nil
	}
	return 0, "", fmt.Errorf("%.20q is neither a method (GET, POST, PUT, DELETE, PATCH) nor one of %s",
		word, strings.Join(actionNames[:], ", "))
}

// The methods that have a list of patterns.
type method uint8

const (
	get method = iota
	post
	put
	del
	patch
	methods
	noMethod = methods
)

var methodNames = [methods]string{"GET", "POST", "PUT", "DELETE", "PATCH"}

// methodOf finds the list that is asked for a request's own method. HEAD looks
// at what GET would take. Doors without methods send by POST.
func methodOf(s string) method {
	switch s {
	case "HEAD":
		return get
	case "":
		return post
	}
	for m, name := range methodNames {
		if s == name {
			return method(m)
		}
	}
	return noMethod
}

// needs lists the methods of which one has to be allowed for the action on the
// path. None means that no pattern can allow it.
func needs(a Action, request, path string) []method {
	first, _, _ := strings.Cut(path, "/")
	switch a {
	case Receive:
		return []method{get}
	case Answer:
		return []method{post}
	case Send:
	default:
		return nil
	}
	own := methodOf(request)
	switch {
	case first == "req":
		if own == noMethod {
			return nil
		}
		return []method{own}
	case first == "res": // sending to this end is answering
		return []method{post}
	}
	switch own {
	case get, post: // GET with ?body= sends
		return []method{post}
	case put, patch:
		return []method{post, own}
	}
	return nil
}
