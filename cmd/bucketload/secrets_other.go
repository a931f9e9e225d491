//go:build !linux

package main

// titleIsArgs: elsewhere it is not known to be so; pass passwords by
// BUCKETLOAD_TO or a password file.
const titleIsArgs = false
