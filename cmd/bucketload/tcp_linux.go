package main

import (
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT, which package syscall lacks. Source:
// include/uapi/linux/tcp.h.
const tcpUserTimeout = 18

// giveUp has TCP give a peer up that does not acknowledge what was sent for so
// long; without it that takes a quarter of an hour. Source: tcp(7), TCP_USER_TIMEOUT.
func giveUp(after time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) error {
		if network == "unix" {
			return nil
		}
		var err error
		if controlErr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(after.Milliseconds()))
		}); controlErr != nil {
			return controlErr
		}
		return err
	}
}
