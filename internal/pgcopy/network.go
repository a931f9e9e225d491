package pgcopy

import "bytes"

// Families of addresses in binary form. Source: PostgreSQL,
// src/include/utils/inet.h; the first is AF_INET, the second one more.
const (
	family4 = 2
	family6 = 3
)

// appendNetwork appends an inet or cidr: family, bits of the mask, whether it
// is a cidr, and the address behind its length. The address must be whole:
// what 10/8 or 10.1 lacks would have to be guessed. A cidr has no bits to the
// right of its mask.
func appendNetwork(dst, value []byte, isCIDR bool) ([]byte, fault) {
	address, mask, masked := bytes.Cut(value, []byte("/"))
	var buf [16]byte
	family, ip := byte(family4), buf[:4]
	if bytes.IndexByte(address, ':') >= 0 {
		family, ip = family6, buf[:]
	}
	if family == family4 && !parseIPv4(ip, address) || family == family6 && !parseIPv6(ip, address) {
		return dst, syntax
	}
	bits := 8 * len(ip)
	if masked {
		n, f := parseInt(mask, 16)
		if f != fine || mask[0] < '0' || len(mask) > 1 && mask[0] == '0' {
			return dst, syntax
		}
		if int(n) > bits {
			return dst, outOfRange
		}
		bits = int(n)
	}
	flag := byte(0)
	if isCIDR {
		flag = 1
		for i := bits; i < 8*len(ip); i++ {
			if ip[i/8]>>(7-i%8)&1 != 0 {
				return dst, syntax
			}
		}
	}
	dst = append(dst, family, byte(bits), flag, byte(len(ip)))
	return append(dst, ip...), fine
}

// parseIPv4 reads four numbers without zeros in front, which elsewhere make
// them octal.
func parseIPv4(ip, value []byte) bool {
	r := cursor{rest: value}
	for i := range ip {
		if i > 0 {
			r.expect('.')
		}
		zero := !r.done() && r.rest[0] == '0'
		before := len(r.rest)
		n := r.number(1, 3)
		if n > 255 || zero && before-len(r.rest) > 1 {
			return false
		}
		ip[i] = byte(n)
	}
	return r.end() == fine
}

// parseIPv6 reads up to eight groups of up to four hexadecimal digits, with ::
// for any number of zero ones, and the last two as IPv4 if they are written so.
func parseIPv6(ip, value []byte) bool {
	n, gap := 0, -1 // bytes read; where :: stands
	r := cursor{rest: value}
	if r.skip(':') {
		if !r.skip(':') {
			return false
		}
		gap = 0
	}
	for !r.done() {
		if n > len(ip)-2 {
			return false
		}
		if n <= len(ip)-4 && bytes.IndexByte(r.rest, ':') < 0 && bytes.IndexByte(r.rest, '.') >= 0 {
			if !parseIPv4(ip[n:n+4], r.rest) {
				return false
			}
			n += 4
			break
		}
		group, digits := 0, 0
		for ; digits < 4 && digits < len(r.rest) && hexDigit(r.rest[digits]) < 16; digits++ {
			group = group<<4 | int(hexDigit(r.rest[digits]))
		}
		if digits == 0 {
			return false
		}
		r.rest = r.rest[digits:]
		ip[n], ip[n+1] = byte(group>>8), byte(group)
		n += 2
		if r.done() {
			break
		}
		if !r.skip(':') || r.done() {
			return false
		}
		if r.skip(':') {
			if gap >= 0 {
				return false
			}
			gap = n
		}
	}
	if gap < 0 {
		return n == len(ip)
	}
	if n == len(ip) {
		return false
	}
	moved := copy(ip[len(ip)-(n-gap):], ip[gap:n])
	clear(ip[gap : len(ip)-moved])
	return true
}

// appendMAC appends an address of n bytes: hexadecimal digits in pairs between
// colons or hyphens, in fours between points or hyphens, or without anything
// between. One of six bytes is no macaddr8: Postgres would put two into it.
func appendMAC(dst, value []byte, n int) ([]byte, fault) {
	group, separator := 2*n, byte(0)
	switch i := bytes.IndexAny(value, ":-."); {
	case i == 2 && value[i] != '.', i == 4 && value[i] != ':':
		group, separator = i, value[i]
	}
	for i := range n {
		if i > 0 && 2*i%group == 0 {
			if len(value) == 0 || value[0] != separator {
				return dst, syntax
			}
			value = value[1:]
		}
		if len(value) < 2 {
			return dst, syntax
		}
		hi, lo := hexDigit(value[0]), hexDigit(value[1])
		if hi|lo > 15 {
			return dst, syntax
		}
		dst = append(dst, hi<<4|lo)
		value = value[2:]
	}
	if len(value) > 0 {
		return dst, syntax
	}
	return dst, fine
}
