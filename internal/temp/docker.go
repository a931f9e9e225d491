package temp

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// docker runs the official image in the foreground: the client passes signals
// on, so the container ends with it as a local server would. The project's
// tests do not run it, as they cannot count on Docker.
type docker struct {
	image string
}

// findDocker says yes if the daemon answers quickly.
func findDocker(ctx context.Context, major int) (docker, bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if exec.CommandContext(ctx, "docker", "info").Run() != nil {
		return docker{}, false
	}
	if major == 0 {
		return docker{"postgres:latest"}, true
	}
	return docker{"postgres:" + strconv.Itoa(major)}, true
}

func (d docker) start(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	name := "bucketload-" + strings.ToLower(rand.Text()[:12])
	p := &Postgres{port: port, password: rand.Text(), stop: "docker stop " + name}
	cmd := exec.Command("docker", append([]string{"run", "--rm", "--name", name, "--stop-signal", "SIGINT",
		"-e", "POSTGRES_PASSWORD", "-p", "127.0.0.1:" + strconv.Itoa(port) + ":5432", d.image}, o.arguments()...)...)
	cmd.Env = append(cmd.Environ(), "POSTGRES_PASSWORD="+p.password) // not on the command line, which all can see
	cmd.SysProcAttr = owner{}.attributes(o.KeepRunning)
	var out bytes.Buffer
	if !o.KeepRunning { // a pipe would break at our end
		cmd.Stderr = &out
	}
	_, _ = fmt.Fprintf(o.Log, "starting %s in Docker\n", d.image)
	if p.child, err = startChild(cmd); err != nil {
		return nil, err
	}
	return p, p.wait(ctx, 5*time.Minute, out.Bytes)
}
