package main

// titleIsArgs: on Linux the process's title is the memory of its arguments.
const titleIsArgs = true
