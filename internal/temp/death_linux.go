package temp

import "syscall"

// dieWithUs has the kernel shut the server down fast when the thread that
// started it ends.
func dieWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGINT }
