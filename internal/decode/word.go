package decode

import (
	"encoding/binary"
	"math/bits"
)

// slack is how many bytes a word may reach beyond the data it is in.
const slack = 8

// eight is a word of one byte, eight times.
func eight(b byte) uint64 { return uint64(b) * 0x0101010101010101 }

func load(data []byte, i int) uint64 { return binary.LittleEndian.Uint64(data[i:]) }

// zeros marks the zero bytes of a word in their highest bits. The lowest mark
// is exact; ones above it may not be. (Mycroft's test.)
func zeros(word uint64) uint64 { return (word - 0x0101010101010101) &^ word & 0x8080808080808080 }

// first is the number of the byte that the lowest mark is in.
func first(marks uint64) int { return bits.TrailingZeros64(marks) / 8 }
