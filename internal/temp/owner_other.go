//go:build !unix

package temp

import (
	"os"
	"syscall"
)

// owner is whom the server runs as: the user of this process.
type owner struct{}

func serverOwner() (owner, error) { return owner{}, nil }

func (owner) tempDir() string { return os.TempDir() }

func (owner) take(...string) error { return nil }

func (owner) attributes(bool) *syscall.SysProcAttr { return nil }
