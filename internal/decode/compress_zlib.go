package decode

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/zlib"
)

// isZlibHeader knows the two bytes that zlib begins with: deflate with a window
// of up to 32 KiB, no dictionary, and a checksum of five bits (RFC 1950, section
// 2.2). Text may begin so, too: "x^" is one of the four usual headers.
func isZlibHeader(head []byte) bool {
	return len(head) >= 2 && head[0]&0x0f == 8 && head[0]>>4 <= 7 && head[1]&0x20 == 0 && (int(head[0])<<8+int(head[1]))%31 == 0
}

// isZlib tells zlib from a file that only begins like it. What unpacks well is
// zlib, as is what unpacks as far as it goes and has a byte that no text has.
// What does not unpack is damaged zlib only if it is clearly no text: that has
// few kinds of control characters, and compressed data soon has many.
func isZlib(in *bufio.Reader, magic []byte) (bool, error) {
	if !isZlibHeader(magic) {
		return false, nil
	}
	head, err := in.Peek(inputBuffer)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	const many = 4
	switch err := unpacks(head); {
	case err == nil:
		return true, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return head[1] < ' ' || head[1] > '~' || controls(head) > 0, nil
	}
	return controls(head) >= many, nil
}

// unpacks is nil where data is the whole of a stream, or the beginning of one
// that goes on for long; io.ErrUnexpectedEOF where it is right so far.
func unpacks(data []byte) error {
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return unexpected(err)
	}
	const enough = 64 << 10 // that no text passes for by chance
	_, err = io.CopyN(io.Discard, z, enough)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// controls counts the kinds of control characters, without blanks and line ends.
func controls(data []byte) int {
	var seen [256]bool
	n := 0
	for _, b := range data {
		if b < ' ' && (b < '\t' || b > '\r') && !seen[b] {
			seen[b] = true
			n++
		}
	}
	return n
}
