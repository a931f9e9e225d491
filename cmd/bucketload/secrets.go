package main

import (
	"os"
	"regexp"
	"strings"
	"unsafe"
)

// secret finds passwords in an argument: in a URL's user part and as a
// keyword of a DSN or a URL's query.
var secret = regexp.MustCompile(`(?i)://[^/@\s:]*:([^\s]*)@|password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]*)`)

// hideSecrets copies the arguments and then blanks passwords out of the memory
// that the operating system shows as the process's title (ps, /proc).
func hideSecrets() []string {
	args := make([]string, 0, len(os.Args))
	for i, arg := range os.Args {
		os.Args[i] = strings.Clone(arg)
		if i > 0 {
			args = append(args, os.Args[i])
		}
		for _, m := range secret.FindAllStringSubmatchIndex(arg, -1) {
			for group := 2; group < len(m); group += 2 {
				if m[group] >= 0 && titleIsArgs {
					blank(arg, m[group], m[group+1])
				}
			}
		}
	}
	return args
}

// redact gives a text without the passwords that may stand in it.
func redact(s string) string {
	var b strings.Builder
	at := 0
	for _, m := range secret.FindAllStringSubmatchIndex(s, -1) {
		for group := 2; group < len(m); group += 2 {
			if m[group] >= at {
				b.WriteString(s[at:m[group]] + "xxx")
				at = m[group+1]
			}
		}
	}
	return b.String() + s[at:]
}

// blank overwrites a part of an argument in place. The runtime's strings of
// os.Args lie in the memory that the process was started with, which is
// writable; nothing else refers to them by now.
func blank(arg string, from, to int) {
	memory := unsafe.Slice(unsafe.StringData(arg), len(arg))
	for i := from; i < to; i++ {
		memory[i] = 'x'
	}
}
