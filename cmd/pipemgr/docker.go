package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/client"
)

// checkDocker looks at the settings that say where Docker is, and connects to nothing.
func checkDocker(env func(string) string) error {
	host := env(client.EnvOverrideHost)
	if strings.HasPrefix(host, "ssh://") {
		return usagef("%s: %q goes through SSH, which pipemgr does not; forward the socket ('ssh -N -L /tmp/docker.sock:/var/run/docker.sock HOST') and name unix:///tmp/docker.sock", client.EnvOverrideHost, host)
	}
	docker, err := client.New(client.FromEnv)
	if err != nil && certsToCome(env) {
		// What is wrong besides them is wrong then as well.
		docker, err = client.New(client.WithHostFromEnv(), client.WithAPIVersionFromEnv())
	}
	if err != nil {
		return usagef("%s or %s is wrong: %s; without them it is /var/run/docker.sock", client.EnvOverrideHost, client.EnvOverrideCertPath, oneLine(err))
	}
	return docker.Close()
}

// certsToCome tells whether a file of DOCKER_CERT_PATH is not there. It may come yet: a
// Docker in a container makes them when it starts, which pipemgr does not wait for.
func certsToCome(env func(string) string) bool {
	dir := env(client.EnvOverrideCertPath)
	return dir != "" && slices.ContainsFunc([]string{"ca.pem", "cert.pem", "key.pem"}, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return errors.Is(err, fs.ErrNotExist)
	})
}

// notThere words why there is no connection to Docker when nothing answers.
func notThere(host string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || strings.HasPrefix(err.Error(), "Cannot connect to the Docker daemon") { // which has no type
		return fmt.Errorf("no Docker answers at %s; start it, or say with %s where it is", host, client.EnvOverrideHost)
	}
	return err
}
