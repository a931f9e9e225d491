//go:build unix && !linux

package temp

import "syscall"

// dieWithUs does nothing here: only Stop ends the server.
func dieWithUs(*syscall.SysProcAttr) {}
