package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// errSeen ends an SSH handshake when the host key is known.
var errSeen = errors.New("seen")

// ssh looks whether the SSH door is open, and whether its key is the known one.
func (e *exam) ssh(ctx context.Context) []Finding {
	const check = "ssh"
	if e.sshPort < 0 {
		return nil
	}
	address := net.JoinHostPort(e.base.Hostname(), strconv.Itoa(e.sshPort))
	key, remote, err := hostKey(ctx, address)
	if err != nil {
		f := bad(check, "an HTTP proxy does not pass SSH on: the port has to be open itself", "no SSH at %s: %s", address, reply{err: err})
		if !e.sshSaid { // a relay need not have it, or has it elsewhere
			f.Verdict, f.Means = VerdictWarn, f.Means+", or say where it is with --ssh-port"
		}
		return []Finding{f}
	}
	fingerprint := ssh.FingerprintSHA256(key)
	switch changed, known := knownKey(address, remote, key); {
	case known:
		return []Finding{good(check, "%s answers, with the key %s (%s) that known_hosts has", address, fingerprint, key.Type())}
	case changed != "":
		return []Finding{bad(check, "somebody stands in between, or the relay has a new data folder; when you know which: ssh-keygen -R '"+knownhosts.Normalize(address)+"'",
			"the key of %s is %s (%s), but %s has another", address, fingerprint, key.Type(), changed)}
	}
	return []Finding{good(check, "%s answers, with the key %s (%s), which is not in known_hosts yet", address, fingerprint, key.Type())}
}

// hostKey begins an SSH connection and ends it when it has seen the host's key.
func hostKey(ctx context.Context, address string) (ssh.PublicKey, net.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(soon)); err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var key ssh.PublicKey
	_, _, _, err = ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: "doctor",
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
			key = k
			return errSeen
		},
	})
	if key == nil {
		return nil, nil, err
	}
	return key, conn.RemoteAddr(), nil
}

// knownKey looks a host's key up where OpenSSH does. changed names the file that
// has another key for the host.
func knownKey(address string, remote net.Addr, key ssh.PublicKey) (changed string, known bool) {
	files := []string{"/etc/ssh/ssh_known_hosts"}
	if home, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(home, ".ssh", "known_hosts"))
	}
	for _, file := range files {
		check, err := knownhosts.New(file)
		if err != nil {
			continue // it is not there, or is not for us
		}
		err = check(address, remote, key)
		var other *knownhosts.KeyError
		switch {
		case err == nil:
			return "", true
		case errors.As(err, &other) && len(other.Want) > 0:
			for _, want := range other.Want {
				if want.Key.Type() == key.Type() { // another sort is just another key of the host
					changed = file
				}
			}
		}
	}
	return changed, false
}
