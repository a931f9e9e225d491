package main

import (
	"runtime"
	"runtime/debug"
)

// release is set by the linker: -X main.release=1.2.3
var release string

// version gives the release, else what the toolchain recorded of the source.
func version() string {
	v := release
	if info, ok := debug.ReadBuildInfo(); v == "" && ok {
		v = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
				v = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return v + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}
